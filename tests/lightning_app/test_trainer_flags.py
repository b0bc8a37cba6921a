"""All flags of Lightning's Trainer: what each does here, or why it is refused."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from lightning_app.azureml.journal import read_journal
from tests.support.commands import Outcome
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process

HAS_GPU = torch.cuda.is_available()
PARTS = "tests.support.lightning_parts"
CIFAR_STEPS = 10  # in two epochs of 100 images, 20 a step


def rows(name: str) -> list[float]:
    return [row["metrics"][name] for row in read_journal(Path("outputs/metrics.jsonl")) if name in row["metrics"]]


def checkpoint(name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(f"outputs/checkpoints/{name}.ckpt", weights_only=True)
    return content


def batches() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("batches.txt").read_text().splitlines()]


def trains(outcome: Outcome) -> None:
    assert checkpoint()["global_step"] == CIFAR_STEPS
    assert len(rows("test_loss")) == 1


def takes(steps: int, validations: int = 0) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert checkpoint()["global_step"] == steps
        assert len(rows("val_loss")) == validations

    return check


def has_weights_of(dtype: torch.dtype) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        trains(outcome)
        assert checkpoint()["state_dict"]["network.conv1.weight"].dtype == dtype

    return check


def clips(outcome: Outcome) -> None:
    trains(outcome)
    assert all(line["norm"] <= 0.0101 for line in batches())


def repeats_batches(outcome: Outcome) -> None:
    digests = [[line["digest"] for line in batches() if line["epoch"] == epoch] for epoch in range(2)]
    assert len(set(digests[0])) == 2
    assert digests[0] == digests[1]


def leaves_nothing(outcome: Outcome) -> None:
    assert outcome.out.startswith("Finished: ") or "\nFinished: " in outcome.out
    assert not Path("outputs").exists()


def saves_no_checkpoint(outcome: Outcome) -> None:
    assert rows("test_loss")
    assert not Path("outputs/checkpoints").exists()


def writes_no_journal(outcome: Outcome) -> None:
    assert checkpoint()["global_step"] == CIFAR_STEPS
    assert not Path("outputs/metrics.jsonl").exists()


def writes_both(outcome: Outcome) -> None:
    trains(outcome)
    assert list(Path("outputs/csv").rglob("metrics.csv"))


def has_no_test_rows(outcome: Outcome) -> None:
    assert checkpoint()["global_step"] == CIFAR_STEPS
    assert not rows("test_loss")


def finds_the_best_within_an_epoch(outcome: Outcome) -> None:
    accuracies = rows("val_accuracy")
    assert len(accuracies) == 4
    best = checkpoint("best")
    assert best["global_step"] == [2, 4, 6, 8][accuracies.index(max(accuracies))]


def logs_no_hyperparameters(outcome: Outcome) -> None:
    trains(outcome)
    assert not Path("outputs/hparams.yaml").exists()


def logs_each_step(outcome: Outcome) -> None:
    assert len(rows("train_loss")) == CIFAR_STEPS


def logs_gradient_norms(outcome: Outcome) -> None:
    assert len(rows("grad_2.0_norm_total")) == CIFAR_STEPS


def logs_in_setup(outcome: Outcome) -> None:
    trains(outcome)
    assert rows("in_setup") == [1.0]


def is_written_to(folder: str) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert yaml.safe_load(Path(folder, "config.yaml").read_text())["trainer"]["default_root_dir"] == folder

    return check


@dataclass(frozen=True)
class Case:
    """A flag with a value and further flags; ``check`` looks at what is left, or the flag is ``refused``."""

    flag: str
    value: object
    check: Callable[[Outcome], None] = trains
    further: tuple[str, ...] = ()
    refused: str = ""


SPY = (f"--trainer.callbacks={PARTS}.Batches", "--trainer.callbacks.path=batches.txt")
VALIDATION = ("--data.val_split=20",)

CASES = (
    Case("accelerator", "cpu"),
    Case("accelerator", "gpu", refused="" if HAS_GPU else "No supported gpu backend found"),
    Case("accelerator", "abacus", refused="invalid accelerator name"),
    Case("accumulate_grad_batches", 5, takes(2)),
    Case("accumulate_grad_batches", 0, refused="--trainer.accumulate_grad_batches 0: expected at least 1"),
    Case("barebones", "true", leaves_nothing),
    Case("barebones", "true", further=("--trainer.profiler=simple",), refused="barebones=True, profiler='simple'"),
    Case("benchmark", "true"),
    Case("callbacks", "Callback"),  # each of them: test_lightning_callbacks.py
    Case("check_val_every_n_epoch", 2, takes(8, validations=1), VALIDATION),
    Case("check_val_every_n_epoch", 0, refused="expected at least 1"),
    Case("default_root_dir", "elsewhere", is_written_to("elsewhere")),
    Case("detect_anomaly", "true"),
    Case("deterministic", "true"),
    Case("deterministic", "warn"),
    Case("devices", 1),
    Case("devices", 0, refused="devices"),
    Case("enable_autolog_hparams", "false", logs_no_hyperparameters),
    Case("enable_checkpointing", "false", saves_no_checkpoint),
    Case("enable_model_summary", "true"),
    Case("enable_progress_bar", "true"),
    Case("enable_progress_bar", "false"),
    Case("fast_dev_run", "true", leaves_nothing),
    Case("fast_dev_run", 2, leaves_nothing, ("--trainer.callbacks=LearningRateMonitor",)),
    Case("gradient_clip_algorithm", "value", further=("--trainer.gradient_clip_val=0.01",)),
    Case("gradient_clip_algorithm", "scissors", refused="gradient_clip_algorithm scissors is invalid"),
    Case("gradient_clip_val", 0.01, clips, SPY),
    Case("gradient_clip_val", -1, refused="--trainer.gradient_clip_val -1"),
    Case("inference_mode", "false"),
    Case("limit_predict_batches", 1),  # for predict, see below
    Case("limit_test_batches", 0, has_no_test_rows),
    Case("limit_train_batches", 1, takes(2)),
    Case("limit_train_batches", 1.0, takes(CIFAR_STEPS)),
    Case("limit_train_batches", 2, takes(4)),
    Case("limit_train_batches", 2.5, refused="limit_train_batches"),
    Case("limit_val_batches", 0, takes(8), VALIDATION),
    Case("log_every_n_steps", 1, logs_each_step),
    Case("log_every_n_steps", 1, logs_gradient_norms, (f"--trainer.callbacks={PARTS}.GradientNorm",)),
    Case("log_every_n_steps", 1, logs_in_setup, (f"--trainer.callbacks={PARTS}.LogsInSetup",)),
    Case("log_every_n_steps", -1, refused="expected at least 0"),
    Case("logger", "true"),
    Case("logger", "false", writes_no_journal),
    Case("logger", "CSVLogger", writes_both, ("--trainer.logger.save_dir=outputs/csv",)),
    Case("max_epochs", 1, takes(5)),
    Case("max_epochs", -1, takes(6), ("--trainer.max_steps=6",)),
    Case("max_steps", 6, takes(6)),
    Case("max_steps", -2, refused="max_steps"),
    Case("max_time", "00:01:00:00"),
    Case("max_time", "soon", refused="Timer(duration='soon') is not a valid duration"),
    Case("min_epochs", 1),
    Case("min_steps", 10),
    Case("model_registry", "mine", refused="--trainer.model_registry mine: Lightning's registry isn't supported"),
    Case("num_nodes", 2, refused="num_nodes"),
    Case("num_sanity_val_steps", 2, takes(8, validations=2), VALIDATION),
    Case("overfit_batches", 2, repeats_batches, SPY),
    Case("plugins", "TorchCheckpointIO"),
    Case("plugins", "AsyncCheckpointIO"),
    Case("plugins", "LightningEnvironment", refused="this program finds its processes itself"),
    Case("precision", "64-true", has_weights_of(torch.float64)),
    Case("precision", "bf16-true", has_weights_of(torch.bfloat16)),
    Case("precision", "bf16-mixed", has_weights_of(torch.float32)),
    Case("precision", "bf16-mixed", clips, ("--trainer.gradient_clip_val=0.01", *SPY)),
    Case("precision", "64-true", clips, ("--trainer.gradient_clip_val=0.01", *SPY)),
    Case("precision", "16-mixed"),  # on a CPU it is bf16-mixed, as in Lightning
    Case("precision", "transformer-engine", refused="transformer_engine"),
    Case("profiler", "simple"),
    Case("profiler", "advanced"),
    Case("profiler", "xla", refused="torch_xla"),
    Case("reload_dataloaders_every_n_epochs", 1),
    Case("strategy", "auto"),
    Case("strategy", "ddp_spawn", refused="spawned and forked processes aren't supported; give ddp"),
    Case("strategy", "fsdp", refused="The strategy fsdp requires a GPU accelerator"),
    Case("strategy", "deepspeed", refused="DeepSpeed"),
    Case("sync_batchnorm", "true", refused="--trainer.sync_batchnorm true: CifarNet has no batch norms"),
    Case("use_distributed_sampler", "false"),
    Case("val_check_interval", 0.5, finds_the_best_within_an_epoch, (*VALIDATION, "--learning_rate=0.3")),
    Case("val_check_interval", 100, further=VALIDATION, refused="`val_check_interval` (100)"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cifar10(tmp_path_factory.mktemp("cifar"), images_per_file=20)


def test_the_table_has_all_flags_of_the_trainer() -> None:
    assert {case.flag for case in CASES} == inspect.signature(pl.Trainer).parameters.keys()


# XLAProfiler, when it is refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.flag}={case.value}")
def test_a_flag_does_what_it_does_in_lightning_or_is_refused_in_one_line(
    case: Case, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    epochs = () if case.flag == "max_epochs" else ("--num_epochs=2",)

    outcome = run_in_process(
        "fit", f"--data_path={data}", "--batch_size=20", *epochs, f"--trainer.{case.flag}={case.value}", *case.further
    )

    if case.refused:
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome.err
        assert case.refused in outcome.err
    else:
        assert outcome.status == 0, outcome.err
        case.check(outcome)
