"""``--early_stopping``: a training that no longer improves ends, and one that is continued goes on counting."""

from pathlib import Path

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.monitor import Monitor
from lightning_app.trainer.early_stopping import NoImprovement
from tests.support.commands import Command, Outcome
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process

# nothing is learned, so that the first validation stays the best one
FLAGS = ("fit", "--learning_rate", "1e-12", "--data_path", "cifar", "--data.val_split", "8", "--trainer.accelerator",
         "cpu", "--batch_size", "8", "--monitor", "val_accuracy")  # fmt: skip


def fit(folder: str, *flags: str) -> Outcome:
    done = run_in_process(*FLAGS, "--output_dir", folder, *flags)
    assert (done.status, done.err) == (0, ""), done
    return done


def epochs(folder: str) -> list[int]:
    """Those that were validated."""
    rows = read_journal(Path(folder, "metrics.jsonl"))
    return [row["epoch"] for row in rows if "val_accuracy" in row["metrics"]]


def test_a_continued_run_goes_on_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("cifar"), images_per_file=8)

    whole = fit("whole", "--num_epochs", "9", "--early_stopping", "2")
    fit("parts", "--num_epochs", "2", "--early_stopping", "2")
    parts = fit("parts", "--num_epochs", "9", "--early_stopping", "2")
    again = fit("parts", "--num_epochs", "9", "--early_stopping", "2")
    longer = fit("parts", "--num_epochs", "9", "--early_stopping", "3")

    assert epochs("whole") == [0, 1, 2]
    for ended in (whole, parts):
        shown = " ".join(ended.out.split())
        assert "Ended: early, by EarlyStopping: Monitored metric val_accuracy did not improve in the last 2" in shown
    assert "training was ended after 3 epochs and 12 steps by --early_stopping. To continue, change" in again.out
    assert epochs("parts") == [0, 1, 2, 3]
    assert "Finished: 4 epochs" in longer.out


@pytest.mark.slow
def test_all_processes_end_after_the_same_epoch(run: Command) -> None:
    make_cifar10(Path("cifar"), images_per_file=8)

    done = run(*FLAGS, "--num_epochs", "9", "--early_stopping", "2", "--trainer.devices", "2")

    assert (done.status, done.err) == (0, "")
    assert epochs("outputs") == [0, 1, 2]


def test_without_the_metric_it_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("cifar"), images_per_file=8)

    done = run_in_process("fit", "--data_path", "cifar", "--early_stopping", "2", "--trainer.accelerator", "cpu")

    assert done.status == 2
    assert done.err == (
        "error: --early_stopping 2: the metric val_accuracy or val_loss isn't logged; give validation images, or "
        "--monitor with one of the logged metrics: train_loss, train_accuracy\n"
    )


@pytest.mark.parametrize(("name", "values", "stops"), [
    ("val_loss", [1.0, 0.5, 0.6, 0.7], [False, False, False, True]),
    ("val_loss", [1.0, float("nan"), float("nan")], [False, False, True]),
    ("val_accuracy", [0.1, 0.2, 0.2, 0.3, 0.1, 0.2], [False, False, False, False, False, True]),
])  # fmt: skip
def test_what_counts_as_an_improvement_is_what_is_better_for_the_metric(
    name: str, values: list[float], stops: list[bool]
) -> None:
    stopping = NoImprovement(2, Monitor())

    found = []
    for value in values:
        stopping._validate_condition_metric({name: torch.tensor(value)})
        found.append(stopping._evaluate_stopping_criteria(torch.tensor(value))[0])

    assert found == stops


def test_the_count_of_another_metric_is_not_taken_over() -> None:
    earlier, same, other = NoImprovement(2, Monitor()), NoImprovement(5, Monitor()), NoImprovement(5, Monitor("f1"))
    for value in (0.5, 0.5):
        earlier._validate_condition_metric({"val_accuracy": torch.tensor(value)})
        earlier._evaluate_stopping_criteria(torch.tensor(value))

    for stopping in (same, other):
        stopping.load_state_dict(earlier.state_dict())

    assert (same.monitor, same.wait_count, same.patience) == ("val_accuracy", 1, 5)
    assert (other.monitor, other.wait_count) == ("f1", 0)
