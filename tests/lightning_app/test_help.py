"""``--help``, the help of classes and ``--print_config``."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.command_line import commands, help_page
from lightning_app.command_line.class_help import requested_help
from lightning_app.errors import UsageError
from lightning_app.main import main
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.commands import Command, environment

OWN_CLASSES = '''
import pytorch_lightning as pl

class OwnCallback(pl.Callback):
    """Waves.

    Args:
        height: How high, in metres.
    """

    def __init__(self, height: float = 1.5) -> None: ...

class Undescribed(pl.Callback):
    def __init__(self, height: float = 1.5) -> None: ...
'''


def class_help(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    request = requested_help(words.split())
    assert request is not None
    with contextlib.suppress(SystemExit):  # the parser's end after a page; it writes errors to standard error
        commands.show_class_help(request, Watchdog())
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--seed", "1", "--help"]])
def test_the_help_of_the_program_names_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)

    printed = capsys.readouterr().out
    assert printed.startswith("usage: python -m lightning_app COMMAND")
    for command in ("fit", "validate", "test", "predict"):
        assert f"\n  {command} " in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["-h"], 0), ([], 2), (["fitt"], 2)])
def test_the_help_of_the_program_loads_nothing_heavy(words: list[str], status: int) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lightning_app", *words]

    done = subprocess.run(command, capture_output=True, text=True, env=environment())

    assert done.returncode == status
    loaded = set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.MULTILINE))
    assert "lightning_app" in loaded
    assert loaded & {"torch", "pytorch_lightning", "azureml", "numpy", "yaml", "jsonargparse"} == set()


def test_the_help_of_fit_has_the_flags_of_this_project(run: Command) -> None:
    outcome = run("fit", "--help")

    assert (outcome.status, outcome.err) == (0, "")
    for flag in ("data_path", "model", "learning_rate", "momentum", "batch_size", "num_epochs", "num_workers",
                 "output_dir", "seed", "download", "resume", "stall_timeout", "config"):  # fmt: skip
        assert f"\n  --{flag} " in outcome.out
    assert "Learning rate of SGD. (default: 0.001, CifarResNet" in outcome.out
    assert "(default: 4)" in outcome.out
    assert "ResNetTransfer         depth (18), weights (DEFAULT)" in outcome.out
    assert "--trainer.help lists all" in outcome.out
    # each choice of what is trained has a line of its own
    for flag in ("optimizer", "lr_scheduler", "model.architecture", "model.label_smoothing", "model.class_weights",
                 "model.mixup_alpha", "model.cutmix_alpha", "early_stopping"):  # fmt: skip
        assert f"\n  --{flag} " in outcome.out
    assert len(outcome.out.splitlines()) < 115
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("command", "flag", "foreign"),
    [
        ("validate", "ckpt_path", "learning_rate"),
        ("test", "ckpt_path", "resume"),
        ("predict", "csv", "download"),
    ],
)
def test_the_help_of_a_command_has_its_own_flags_only(command: str, flag: str, foreign: str) -> None:
    page = help_page.command_help(command, commands.owners())

    assert f"\n  --{flag} " in page
    assert "\n  --stall_timeout " in page
    assert f"--{foreign}" not in page


@pytest.mark.parametrize("command", ["validate", "test"])
def test_an_evaluation_has_the_data_of_its_checkpoint_by_default(command: str) -> None:
    page = " ".join(help_page.command_help(command, commands.owners()).split())

    assert "--data_path DIR Folder with the images (default: as in the run of the checkpoint)." in page
    assert "--batch_size N Images per step and process (default: as in the run of the checkpoint)." in page
    assert "generated" not in page
    assert "depth (18)" not in page


def test_a_class_without_a_docstring_is_not_described_by_that_of_its_base(capsys: pytest.CaptureFixture[str]) -> None:
    page = class_help("fit --trainer.callbacks.help", capsys)

    assert re.search(r"StochasticWeightAveraging\n +Implements the Stochastic Weight Averaging", page)
    assert "Abstract base class" not in page


def test_help_loads_neither_azureml_nor_tensorboard() -> None:
    """Each of them would take longer to load than the help takes to print."""
    command = [sys.executable, "-X", "importtime", "-m", "lightning_app", "fit", "--help"]

    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())

    loaded = set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.MULTILINE))
    assert "torch" in loaded
    assert loaded & {"azureml", "tensorboard", "pandas"} == set()


def test_lightnings_flags_are_listed_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    page = class_help("fit --trainer.help", capsys)

    assert page.startswith("Settings of Lightning's Trainer")
    assert len(set(re.findall(r"^  (--trainer\.\w+)", page, re.MULTILINE))) > 35
    assert "--model" not in page


@pytest.mark.parametrize(
    "words",
    [
        "fit --model.help ResNetTransfer",
        "--model.help ResNetTransfer fit",
        "--model.help=ResNetTransfer",
        "validate --seed 3 --model.help models.ResNetTransfer --batch_size 3",
    ],
)
def test_the_help_of_a_model_has_its_settings(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = class_help(words, capsys)

    assert page.startswith("usage: --model models.ResNetTransfer\n")
    assert "--model.depth {18,34,50,101,152}" in page
    assert "Epochs after which the learning rate is multiplied" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--data.help ImageFolderDataModule", ["--data.image_size", "Height and width of the network's input"]),
        ("--data.help", ["CIFAR10DataModule", "ImageFolderDataModule  Reads train/, val/"]),
        ("--model.help fit", ["CifarNet               Two convolutions", "ResNetTransfer"]),
        ("predict --trainer.callbacks.help EarlyStopping", ["--trainer.callbacks.patience", "(type: int, default: 3)"]),
        ("--trainer.callbacks.help", ["\n  EarlyStopping          Monitor a metric", "\n  ModelCheckpoint"]),
        ("--trainer.logger.help CSVLogger", ["--trainer.logger.save_dir"]),
        ("--trainer.logger.help", ["\n  MLFlowLogger           Log using MLflow."]),
        ("--trainer.strategy.help DDPStrategy", ["--trainer.strategy.timeout"]),
        ("--trainer.profiler.help SimpleProfiler", ["--trainer.profiler.filename"]),
        ("--trainer.plugins.help MixedPrecision", ["--trainer.plugins.precision"]),
    ],
)
def test_the_help_of_a_class_has_its_settings(
    words: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    page = class_help(words, capsys)

    for text in expected:
        assert text in page


def test_the_help_of_a_class_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_classes.py").write_text(OWN_CLASSES)
    monkeypatch.syspath_prepend(tmp_path)

    page = class_help("--trainer.callbacks.help own_classes.OwnCallback", capsys)

    assert "Waves" in page
    assert "--trainer.callbacks.height HEIGHT" in page
    assert "How high, in metres. (type: float, default: 1.5)" in page
    undescribed = class_help("--trainer.callbacks.help own_classes.Undescribed", capsys)
    assert "\n\nSettings:\n  --trainer.callbacks.height HEIGHT" in undescribed


@pytest.mark.parametrize("words", ["--model.help CifarNet", "--data.help ImageFolderDataModule"])
def test_the_page_of_a_class_fits_a_terminal_of_80_columns(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, class_help(words, capsys).splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model.help CifarNett", "--model.help CifarNett: no such class; did you mean CifarNet?"),
        ("--data.help CifarNet", "--data.help CifarNet: no such class"),
        ("--model.help models.metric_name", "--model.help models.metric_name: expected a subclass of LightningModule"),
        ("--trainer.callbacks.help no_module.X", "--trainer.callbacks.help no_module.X: No module named 'no_module'"),
        ("--trainer.nothing.help", "--trainer.nothing.help: no setting that takes a class has this name; "),
        ("--data.nothing.help X", "--data.nothing.help X: no setting that takes a class has this name; "),
        ("--model.x.help no_module.X", "--model.x.help no_module.X: no setting that takes a class has this name"),
        ("--trainer.loger.help X", "--trainer.loger.help X: unknown flag; did you mean --trainer.logger.help?"),
    ],
)
def test_the_help_of_an_unknown_class_is_one_line(words: str, message: str) -> None:
    request = requested_help(words.split())
    assert request is not None

    with pytest.raises(UsageError) as caught:
        commands.show_class_help(request, Watchdog())

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["fit", "--seed", "1"], None),
        (["fit", "--csv", "--model.help", "A"], ["fit", "--model.help", "A"]),
        (["--data.help", "A", "test", "--model.help", "B"], ["test", "--data.help", "A"]),
        (["--model.help", "A", "--model.part.help", "B"], ["fit", "--model.help", "A", "--model.part.help", "B"]),
        (["--model.help", "--seed", "1"], ["fit", "--model.help"]),
        (["--model.helper", "A"], None),
    ],
)
def test_the_class_that_a_command_line_asks_about(words: list[str], request_: list[str] | None) -> None:
    assert requested_help(words) == request_


def test_the_program_shows_the_help_of_a_class(run: Command) -> None:
    outcome = run("--model.help", "CifarNet")

    assert (outcome.status, outcome.err) == (0, "")
    assert "--model.momentum MOMENTUM" in outcome.out


def test_all_settings_can_be_printed_as_a_file(run: Command) -> None:
    outcome = run("fit", "--print_config", "--learning_rate", "0.5")

    assert outcome.status == 0
    assert "learning_rate: 0.5" in outcome.out
    assert "class_path: datamodules.CIFAR10DataModule" in outcome.out
