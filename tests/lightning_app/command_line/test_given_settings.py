"""Which settings a command gets: flags and files in any order and place, and defaults only for what isn't given."""

import gc
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytorch_lightning import LightningModule

from lightning_app.command_line.cli import RunCLI
from lightning_app.command_line.commands import run_command
from lightning_app.command_line.default_data import default_classes
from lightning_app.command_line.given_settings import (
    class_of,
    given_settings,
    is_same_class,
    read_yaml,
    split_at_command,
)
from lightning_app.errors import UsageError
from lightning_app.watchdog.watchdog import Watchdog

TRANSFER = "model:\n  class_path: models.ResNetTransfer\n  init_args:\n    learning_rate: 0.5\n"
TRAINER = "trainer:\n  max_epochs: 9\n"
OWN_MODULE = """
import pytorch_lightning as pl
from models import CifarNet


class Wider(CifarNet):
    def __init__(self, learning_rate: float = 0.1, width: int = 9):
        super().__init__(learning_rate)


class Own(pl.LightningModule):
    def __init__(self, learning_rate: float = 0.1, classes: tuple[str, ...] = ("x",)):
        super().__init__()


class OwnData(pl.LightningDataModule):
    def __init__(self, batch_size: int = 50):
        super().__init__()
"""


class Parsed(RunCLI):
    """Stops after parsing."""

    result: ClassVar[dict[str, Any]] = {}

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        Parsed.result = self.settings.as_dict()

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def parse(*arguments: str) -> dict[str, Any]:
    run_command(arguments, Watchdog(), Parsed)
    return Parsed.result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_for_settings.py").write_text(OWN_MODULE)
    (tmp_path / "transfer.yaml").write_text(TRANSFER)
    (tmp_path / "trainer.yaml").write_text(TRAINER)
    (tmp_path / "fit.yaml").write_text("fit:\n" + "".join(f"  {line}\n" for line in TRANSFER.splitlines()))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--config", "transfer.yaml", "--config", "trainer.yaml"],
        ["fit", "--config", "trainer.yaml", "--config", "transfer.yaml"],
        ["fit", "-c", "transfer.yaml", "--config=trainer.yaml"],
        ["fit", "--config", "transfer.yaml", "--num_epochs", "9"],
        ["--config", "fit.yaml", "fit", "--num_epochs", "9"],
        ["--config=fit.yaml", "fit", "--config", "trainer.yaml"],
        ["fit", "--model", "CifarNet", "--num_epochs", "9", "--config", "transfer.yaml"],
    ],
)
def test_files_and_flags_count_in_any_order_and_place(folder: Path, arguments: list[str]) -> None:
    settings = parse(*arguments, "--batch_size", "7")

    assert settings["model"]["class_path"] == "models.ResNetTransfer"
    assert settings["model"]["init_args"]["learning_rate"] == 0.5
    assert settings["data"]["class_path"] == "datamodules.ImageFolderDataModule"
    assert (settings["data"]["init_args"]["batch_size"], settings["data"]["init_args"]["num_workers"]) == (7, "auto")
    assert settings["trainer"]["max_epochs"] == 9


def test_a_class_that_is_given_takes_over_nothing_from_the_default_class(folder: Path) -> None:
    settings = parse("fit", "--model", "own_for_settings.Own", "--data", "own_for_settings.OwnData")
    folders = parse("fit", "--data", "ImageFolderDataModule")

    assert settings["model"]["init_args"] == {"learning_rate": 0.1, "classes": ("x",)}
    assert settings["data"]["init_args"] == {"batch_size": 50}
    assert folders["data"]["init_args"]["num_workers"] == "auto"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--learning_rate", "0.5", "--batch_size", "7", "--model", "own_for_settings.Wider"],
        ["--model", "own_for_settings.Wider", "--learning_rate", "0.5", "--data.batch_size", "7"],
        ["--model.width=9", "--learning_rate=0.5", "--config", "batch.yaml", "--model=own_for_settings.Wider"],
        ["--learning_rate", "0.5", "--config", "wider.yaml", "--batch_size", "7"],
    ],
)
def test_a_subclass_of_a_model_has_its_data_and_settings_may_come_before_the_class(
    folder: Path, arguments: list[str]
) -> None:
    (folder / "batch.yaml").write_text("data:\n  batch_size: 7\n")
    (folder / "wider.yaml").write_text("model: own_for_settings.Wider\n")
    settings = parse("fit", *arguments)

    assert settings["model"]["class_path"] == "own_for_settings.Wider"
    assert settings["model"]["init_args"] == {"learning_rate": 0.5, "width": 9}
    assert settings["data"]["class_path"] == "datamodules.CIFAR10DataModule"
    assert settings["data"]["init_args"]["batch_size"] == 7


@pytest.mark.parametrize(
    ("flags", "model", "data"),
    [
        (["--learning_rate", "0.5", "--model", "ResNetTransfer"], "models.ResNetTransfer", "ImageFolderDataModule"),
        (["--batch_size", "7", "--data", "ImageFolderDataModule"], "models.CifarNet", "ImageFolderDataModule"),
    ],
)
def test_settings_may_come_before_a_class_of_this_project(
    folder: Path, flags: list[str], model: str, data: str
) -> None:
    settings = parse("fit", *flags)

    assert (settings["model"]["class_path"], settings["data"]["class_path"]) == (model, f"datamodules.{data}")
    assert flags[1] in map(
        str, [settings["model"]["init_args"]["learning_rate"], *settings["data"]["init_args"].values()]
    )


def test_a_class_that_has_only_the_name_of_a_model_gets_no_data_of_it(folder: Path) -> None:
    (folder / "namesake.py").write_text("import pytorch_lightning as pl\n\n\nclass CifarNet(pl.LightningModule): ...\n")

    try:
        assert "data" not in default_classes(given_settings("fit", [], ["--model", "namesake.CifarNet"]))
    finally:  # two classes of one name would make that name ambiguous for all later tests of the process
        del sys.modules["namesake"]
        gc.collect()

    assert [each.__module__ for each in LightningModule.__subclasses__() if each.__name__ == "CifarNet"] == []


def test_null_in_a_saved_file_is_no_checkpoint(folder: Path) -> None:
    (folder / "saved.yaml").write_text("ckpt_path: null\nweights_only: null\n")

    assert parse("fit", "--config", "saved.yaml")["ckpt_path"] is None
    with pytest.raises(UsageError, match="--output_dir 'outputs': holds no checkpoint"):
        parse("test", "--config", "saved.yaml")


def test_the_checkpoint_and_the_run_folder_are_read_from_files(folder: Path) -> None:
    (folder / "one.yaml").write_text("ckpt_path: missing.ckpt\n")
    (folder / "two.yaml").write_text("trainer:\n  default_root_dir: elsewhere\n")

    with pytest.raises(UsageError, match=r"--ckpt_path 'missing\.ckpt': no such file"):
        parse("test", "--config", "one.yaml")
    with pytest.raises(UsageError, match="--output_dir 'elsewhere': holds no checkpoint"):
        parse("test", "--config", "two.yaml")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fit", "--seed", "1"], ([], "fit", ["--seed", "1"])),
        (["--config", "fit", "fit"], (["--config", "fit"], "fit", [])),
        (["--config=a", "test", "fit"], (["--config=a"], "test", ["fit"])),
        (["fitt", "--model", "fit"], (["fitt", "--model", "fit"], None, [])),
        (["--help"], (["--help"], None, [])),
        ([], ([], None, [])),
    ],
)
def test_the_command_is_found(arguments: list[str], parts: tuple[list[str], str | None, list[str]]) -> None:
    assert split_at_command(arguments) == parts


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--data=A"], "A"),
        (["--data", "A", "--data.batch_size=3"], "A"),
        (["--data", "A", "--data.class_path", "b.B"], "b.B"),
        (['--data={"class_path": "b.B"}'], "b.B"),
        (["--data.batch_size=3"], None),
        (["--config", "data: b.B"], "b.B"),
        (["--data", "A", "--config", "data: {class_path: b.B}", "--config", "seed_everything: 1"], "b.B"),
    ],
)
def test_the_class_that_is_given_last_counts(flags: list[str], expected: str | None) -> None:
    assert class_of(given_settings("fit", [], flags), "data") == expected


def test_no_data_is_a_choice() -> None:
    assert "data" not in default_classes(given_settings("fit", [], ["--config", "data: null"]))
    assert "data" in default_classes(given_settings("fit", [], ["--data.batch_size=3"]))


def test_a_class_has_a_short_path_and_that_of_its_module() -> None:
    assert is_same_class("datamodules.CIFAR10DataModule", "CIFAR10DataModule")
    assert is_same_class("datamodules.CIFAR10DataModule", "datamodules.cifar10.CIFAR10DataModule")
    assert not is_same_class("mine.Data", "yours.Data")
    assert not is_same_class("mine.Data", "mine.Other")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: [", b"- a\n- b\n", b""])
def test_a_file_that_is_no_file_of_settings_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)

    assert read_yaml(tmp_path / "a.yaml") == {}
    assert read_yaml(tmp_path) == read_yaml(tmp_path / "missing") == read_yaml(Path("/dev/zero")) == {}
