"""All of Lightning's own callbacks, by class path on the command line: what each does here, or why it is refused."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning.callbacks
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from datamodules.cifar10_files import find_folder, read_split
from lightning_app.azureml.journal import read_journal
from models import CifarNet
from tests.support.commands import Outcome
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process

HAS_RICH = importlib.util.find_spec("rich") is not None
OF_CALLBACK = "--trainer.callbacks."


@dataclass(frozen=True)
class Run:
    """A finished run in the folder ``outputs``, trained on the images at ``data``."""

    outcome: Outcome
    data: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row["metrics"] for row in read_journal(Path("outputs/metrics.jsonl"))]

    def checkpoint(self, name: str = "last") -> dict[str, Any]:
        content: dict[str, Any] = torch.load(f"outputs/checkpoints/{name}.ckpt", weights_only=True)
        return content

    def values(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]


def loss_of(state: dict[str, Tensor], data: Path) -> float:
    """The mean loss of the weights over the test images, without Lightning."""
    test = read_split(find_folder(data), train=False, classes=10)
    model = CifarNet()
    model.load_state_dict(state)
    with torch.no_grad():
        return float(functional.cross_entropy(model(test.images.permute(0, 3, 1, 2) / 127.5 - 1), test.labels))


def trains(run: Run) -> None:
    assert run.checkpoint()["global_step"] == 8
    assert len(run.values("test_loss")) == 1


def logs(name: str) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        trains(run)
        assert run.values(name)

    return check


def saves_and_tests_an_average(run: Run) -> None:
    content = run.checkpoint("best")
    assert run.values("test_loss")[0] == pytest.approx(loss_of(content["state_dict"], run.data), abs=1e-5)
    assert run.values("test_loss")[0] != pytest.approx(loss_of(content["current_model_state"], run.data), abs=1e-5)


def saves_and_tests_the_swa_average(run: Run) -> None:
    content = run.checkpoint()
    average = content["callbacks"]["StochasticWeightAveraging"]["average_model_state"]
    for name, value in average.items():
        torch.testing.assert_close(value, content["state_dict"][name])
    assert run.values("test_loss")[0] == pytest.approx(loss_of(content["state_dict"], run.data), abs=1e-5)
    assert not Path("outputs/checkpoints/best.ckpt").exists()
    assert run.checkpoint("best-before-averaging")["global_step"] <= 8


def records_the_learning_rate(run: Run) -> None:
    found = run.checkpoint()["hyper_parameters"]["learning_rate"]
    assert found != 0.02
    assert run.checkpoint()["optimizer_states"][0]["param_groups"][0]["lr"] == found
    assert yaml.safe_load(Path("outputs/hparams.yaml").read_text())["learning_rate"] == pytest.approx(found)
    assert 1 < run.values("train_loss")[0] < 4  # without the steps of the search, whose last ones diverge


def records_the_batch_size(run: Run) -> None:
    assert run.checkpoint()["datamodule_hyper_parameters"]["batch_size"] == 8
    assert yaml.safe_load(Path("outputs/hparams.yaml").read_text())["batch_size"] == 8
    assert run.checkpoint()["global_step"] == 2 * 10


def ends_after(steps: int) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        assert run.checkpoint()["global_step"] == steps

    return check


def prunes(run: Run) -> None:
    weights = [value for name, value in run.checkpoint()["state_dict"].items() if name.startswith("network.")]
    zeros, total = sum(int((value == 0).sum()) for value in weights), sum(value.numel() for value in weights)
    assert zeros / total == pytest.approx(0.75, abs=0.01)  # half of the weights, and half of the rest
    again = run_in_process("test")
    assert f"test_loss {run.values('test_loss')[0]:.4f}" in again.out


def has_two_groups(run: Run) -> None:
    groups = run.checkpoint()["optimizer_states"][0]["param_groups"]
    assert [len(group["params"]) for group in groups] == [6, 4]


def has_no_checkpoint(run: Run) -> None:
    assert not Path("outputs/checkpoints").exists()
    assert run.values("test_loss")


def prints(text: str) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        trains(run)
        assert text in run.outcome.out + run.outcome.err

    return check


def keeps_its_own_checkpoint(run: Run) -> None:
    trains(run)
    names = {path.name for path in Path("outputs/checkpoints").iterdir()}
    assert {"best.ckpt", "last.ckpt", "epoch=1-step=8.ckpt"} <= names
    assert "epoch=1-step=8.ckpt.json" not in names  # what is kept beside a checkpoint is for this program's own ones


def kept_at_the_exception(run: Run) -> None:
    assert torch.load("kept/on_exception.ckpt", weights_only=True)["state_dict"]


@dataclass(frozen=True)
class Case:
    """Flags for a callback, whose ``check`` gets the run; or the text with which it is refused."""

    check: Callable[[Run], None] = trains
    flags: tuple[str, ...] = ()
    refused: str = ""
    model: str = "CifarNet"


def options(**values: object) -> tuple[str, ...]:
    return tuple(f"{OF_CALLBACK}{name}={value}" for name, value in values.items())


BASE_CLASS = "a base class; give the import path of a class that extends it"
CASES = {
    "BackboneFinetuning": Case(
        has_two_groups,
        options(unfreeze_backbone_at_epoch=1),
        model="tests.support.lightning_parts.WithBackbone",
    ),
    "BaseFinetuning": Case(refused=BASE_CLASS),
    "BasePredictionWriter": Case(refused=BASE_CLASS),
    "BatchSizeFinder": Case(records_the_batch_size, options(init_val=8, max_trials=1)),
    "Callback": Case(),
    "Checkpoint": Case(),
    "DeviceStatsMonitor": Case(flags=options(cpu_stats="false")),  # on a CPU its figures need psutil
    "EMAWeightAveraging": Case(saves_and_tests_an_average, options(decay=0.9)),
    "EarlyStopping": Case(ends_after(8), (*options(monitor="val_loss", patience=0, min_delta=5), "--num_epochs=4")),
    "GradientAccumulationScheduler": Case(ends_after(4), options(scheduling='{"0": 2}')),
    "LambdaCallback": Case(prints("Trainer object at"), options(on_train_start="builtins.print")),
    "LearningRateFinder": Case(records_the_learning_rate, (*options(num_training_steps=30), "--batch_size=4")),
    "LearningRateMonitor": Case(logs("lr-SGD"), options(logging_interval="step")),
    "ModelCheckpoint": Case(keeps_its_own_checkpoint),
    "ModelPruning": Case(prunes, options(pruning_fn="l1_unstructured", use_lottery_ticket_hypothesis="false")),
    "ModelSummary": Case(),
    "OnExceptionCheckpoint": Case(
        kept_at_the_exception,
        (*options(dirpath="kept"), "--trainer.callbacks+=SpikeDetection", *options(mode="max", rtol=0)),
        refused="Training spike detected in batch",
    ),
    "ProgressBar": Case(),
    "RichModelSummary": Case(refused="" if HAS_RICH else "RichModelSummary requires rich"),
    "RichProgressBar": Case(refused="" if HAS_RICH else "RichProgressBar requires rich"),
    "SpikeDetection": Case(),
    "StochasticWeightAveraging": Case(saves_and_tests_the_swa_average, options(swa_lrs=0.05, swa_epoch_start=1)),
    "TQDMProgressBar": Case(prints("Epoch 1: 100%")),
    "ThroughputMonitor": Case(logs("train/samples"), options(batch_size_fn="tests.support.lightning_parts.batch_size")),
    "Timer": Case(has_no_checkpoint, options(duration="00:00:00:00")),
    "WeightAveraging": Case(saves_and_tests_an_average),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cifar10(tmp_path_factory.mktemp("cifar"), images_per_file=20)


def fit(data: Path, *flags: str, model: str = "CifarNet") -> Outcome:
    classes = [f"--model={model}", "--data=CIFAR10DataModule"]
    settings = [f"--data_path={data}", "--data.val_split=20", "--learning_rate=0.02", "--trainer.log_every_n_steps=1"]
    defaults = {"--batch_size": "20", "--num_epochs": "2"}
    given = {flag.partition("=")[0] for flag in flags}
    kept = [f"{name}={value}" for name, value in defaults.items() if name not in given]
    return run_in_process("fit", *classes, *settings, *kept, *flags)


def test_the_table_has_all_callbacks_of_lightning() -> None:
    assert CASES.keys() == set(pytorch_lightning.callbacks.__all__)


@pytest.mark.parametrize("name", CASES)
def test_a_callback_does_what_it_does_in_lightning_or_is_refused_in_one_line(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]

    outcome = fit(data, f"--trainer.callbacks={name}", *case.flags, model=case.model)

    if case.refused:
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome.err
        assert case.refused in outcome.err
    else:
        assert outcome.status == 0, outcome.err
        assert "Unable to serialize" not in Path("outputs/config.yaml").read_text() + outcome.err
    if not case.refused or case.check is not trains:
        case.check(Run(outcome, data))


def test_a_resumed_run_keeps_the_learning_rate_that_was_found(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--trainer.callbacks=LearningRateFinder", *options(num_training_steps=30), "--batch_size=4"]
    assert fit(data, *flags, "--num_epochs=2").status == 0
    found = Run(Outcome(0, "", ""), data).checkpoint()["hyper_parameters"]["learning_rate"]

    more = fit(data, *flags, "--num_epochs=3")

    assert more.status == 0, more.err
    content = Run(more, data).checkpoint()
    assert "Continuing from outputs/checkpoints/last.ckpt, after 2 epochs and 40 steps." in more.out
    assert (content["global_step"], content["hyper_parameters"]["learning_rate"]) == (60, found)
