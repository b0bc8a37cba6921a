"""Several processes on this machine, started by Lightning, have the results of one process."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import cifar10_files
from lightning_app.azureml.journal import read_journal
from tests.support.commands import Command
from tests.support.images import make_cifar10, make_image_folder, write_batch

CPU = ("--trainer.accelerator", "cpu")
# Float32 sums in another order differ in the last places: after 18 steps, by at most 5e-8 for weights and 3e-7 for
# metrics. If repeated images counted, the difference would be 6e-2 for weights and 3e-3 for metrics.
WEIGHTS_TOLERANCE, METRICS_TOLERANCE = 1e-6, 1e-5
TRAINING, VALIDATION, TESTING = 43, 41, 41  # not multiples of 2 or 4
GLOBAL_BATCH = 8  # 3 remain for the last step of an epoch: one of 4 processes has no new image in it

# writes whether the processes are connected while the interpreter ends
CLOSING = """
import atexit
from pathlib import Path
import torch
from models import CifarNet

def write_connected(rank):
    Path(f"connected-{rank}").write_text(str(torch.distributed.is_initialized()))

class Closing(CifarNet):
    def on_train_start(self):
        assert torch.distributed.is_initialized()
        atexit.register(write_connected, self.global_rank)
"""


def make_uneven_cifar10(root: Path) -> Path:
    folder = root / cifar10_files.FOLDER
    folder.mkdir(parents=True)
    parts = np.array_split(np.arange(TRAINING + VALIDATION), len(cifar10_files.TRAIN_FILES))
    for seed, (name, part) in enumerate(zip(cifar10_files.TRAIN_FILES, parts, strict=True)):
        write_batch(folder / name, len(part), seed)
    write_batch(folder / cifar10_files.TEST_FILE, TESTING, 9)
    return root


def fit(run: Command, data: Path, processes: int, *further: str) -> Path:
    """Trains three epochs with the same global batch; returns the run folder."""
    folder = Path(f"by{processes}")
    flags = ["--data_path", str(data), "--data.val_split", str(VALIDATION), "--data.augment", "true"]
    flags += ["--batch_size", str(GLOBAL_BATCH // processes), "--num_epochs", "3", "--learning_rate", "0.05", *further]
    done = run("fit", *flags, *CPU, "--trainer.devices", str(processes), "--output_dir", str(folder))
    assert (done.status, done.err) == (0, "")
    assert done.out.count("Finished: 3 epochs") == 1
    return folder


def charts(folder: Path) -> dict[str, bytes]:
    """The content of each chart's file."""
    return {path.name: path.read_bytes() for path in (folder / "charts").iterdir()}


def assert_same_run(one: Path, other: Path, tolerance: float = WEIGHTS_TOLERANCE) -> None:
    rows, expected = list(read_journal(other / "metrics.jsonl")), list(read_journal(one / "metrics.jsonl"))
    assert [(row["step"], list(row["metrics"])) for row in rows] == [
        (row["step"], list(row["metrics"])) for row in expected
    ]
    for row, wanted in zip(rows, expected, strict=True):
        assert row["metrics"] == pytest.approx(wanted["metrics"], abs=METRICS_TOLERANCE)
    for name in ("last", "best"):
        weights, wanted = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for folder in (other, one)
        )
        assert weights.keys() == wanted.keys()
        for key in weights:
            torch.testing.assert_close(weights[key], wanted[key], rtol=0, atol=tolerance)
    assert charts(other) == charts(one)
    for file in ("val_metrics.json", "test_metrics.json"):
        values, wanted = (json.loads((folder / file).read_text()) for folder in (other, one))
        for name in ("images", "accuracy", "top5_accuracy", "macro_f1", "balanced_accuracy", "classes"):
            assert values[name] == wanted[name]
        assert values["calibration_error"] == pytest.approx(wanted["calibration_error"], abs=METRICS_TOLERANCE)


def predicted(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_processes_train_evaluate_and_predict_as_one_does(run: Command, tmp_path: Path) -> None:
    data, photos = make_uneven_cifar10(tmp_path / "cifar"), make_image_folder(tmp_path / "photos", ("",), count=3)
    alone = fit(run, data, 1)
    together = fit(run, data, 2)
    assert_same_run(alone, together)

    # seven images, an odd number
    (photos / "dark" / "dark9.jpg").write_bytes((photos / "dark" / "dark0.jpg").read_bytes())
    flags = ["--output_dir", str(together), "--data_path", str(photos), "--batch_size", "2", *CPU]
    for processes in ("1", "2"):
        labelled = run("predict", *flags, "--trainer.devices", processes, "--csv", f"{processes}.csv")
        assert (labelled.status, labelled.out, labelled.err) == (0, f"7 images labelled: {processes}.csv\n", "")
    rows = predicted(Path("2.csv"))
    assert [row["file"] for row in rows] == [
        f"{path.parent.name}/{path.name}" for path in sorted(photos.rglob("*.jpg"))
    ]
    for row, wanted in zip(rows, predicted(Path("1.csv")), strict=True):
        assert (row["file"], row["label"]) == (wanted["file"], wanted["label"])
        # the file has probabilities rounded to four digits
        assert float(row["probability"]) == pytest.approx(float(wanted["probability"]), abs=1.1e-4)


def test_the_processes_are_disconnected_before_the_interpreter_ends(run: Command, tmp_path: Path) -> None:
    (tmp_path / "closing.py").write_text(CLOSING)
    make_cifar10(tmp_path / "cifar")
    flags = ["--model", "closing.Closing", "--data_path", "cifar", "--batch_size", "8", "--num_epochs", "1", *CPU]

    done = run("fit", *flags, "--trainer.devices", "2")

    assert (done.status, done.err) == (0, "")
    assert [Path(f"connected-{rank}").read_text() for rank in (0, 1)] == ["False", "False"]


@pytest.mark.slow
def test_four_processes_train_and_evaluate_as_one_does(run: Command, tmp_path: Path) -> None:
    data = make_uneven_cifar10(tmp_path / "cifar")
    alone = fit(run, data, 1)

    together = fit(run, data, 4)

    assert_same_run(alone, together)
    row = [row["metrics"] for row in read_journal(alone / "metrics.jsonl")][-1]
    measured = run("test", "--output_dir", str(together), *CPU, "--trainer.devices", "4")
    assert (measured.status, measured.err) == (0, "")
    assert measured.out == "".join(f"{name} {value:.4f}\n" for name, value in row.items())


@pytest.mark.slow
def test_several_processes_accumulate_batches_as_one_does(run: Command, tmp_path: Path) -> None:
    data = make_uneven_cifar10(tmp_path / "cifar")
    further = ("--trainer.accumulate_grad_batches", "4", "--trainer.log_every_n_steps", "2")

    assert_same_run(fit(run, data, 1, *further), fit(run, data, 2, *further))


@pytest.mark.slow
def test_validation_uses_the_batch_norms_that_are_saved(run: Command, tmp_path: Path) -> None:
    """In a training step each process has its own statistics; the saved network has those of rank 0."""
    make_image_folder(tmp_path / "data", ("train", "val"), count=5)
    flags = ["--model", "ResNetTransfer", "--model.weights", "none", "--model.freeze_backbone", "false"]
    flags += ["--data_path", "data", "--data.image_size", "48", "--num_workers", "0", "--num_epochs", "1"]
    fitted = run("fit", *flags, "--batch_size", "2", "--learning_rate", "0.01", *CPU, "--trainer.devices", "2")
    assert (fitted.status, fitted.err) == (0, "")
    logged = next(row["metrics"] for row in read_journal(Path("outputs/metrics.jsonl")) if "val_loss" in row["metrics"])

    alone = run("validate", *CPU, "--trainer.devices", "1")

    assert alone.out == "".join(f"{name} {value:.4f}\n" for name, value in logged.items())


@pytest.mark.slow
def test_processes_share_the_check_of_the_images_and_leave_out_the_same_ones(run: Command, tmp_path: Path) -> None:
    make_image_folder(tmp_path / "data", ("train", "val"), count=5)
    broken = [tmp_path / "data" / "train" / "dark" / f"dark{number}.jpg" for number in (0, 3)]  # one for each process
    for path in broken:
        path.write_text("no image")
    flags = ["--model", "ResNetTransfer", "--model.weights", "none", "--data.image_size", "32", "--num_workers", "0"]
    flags += ["--data_path", "data", "--batch_size", "1", "--num_epochs", "1", *CPU, "--trainer.devices", "2"]

    refused = run("fit", *flags)
    fitted = run("fit", *flags, "--data.skip_broken", "true")

    assert refused.status == 2
    assert f"error: --data_path: {'data/train/dark/dark0.jpg'!r} is not a readable image" in refused.err
    assert (fitted.status, fitted.err) == (0, "")
    assert "Left out: 2 files, such as 'data/train/dark/dark0.jpg'" in fitted.out
    assert "Finished: 1 epoch, 4 steps" in fitted.out  # 8 images, 2 for each step


def test_fewer_images_than_processes_are_refused_before_a_folder_is_created(run: Command, tmp_path: Path) -> None:
    data = make_uneven_cifar10(tmp_path / "cifar")
    write_batch(data / cifar10_files.FOLDER / cifar10_files.TEST_FILE, 1, 9)

    outcome = run("fit", "--data_path", str(data), *CPU, "--trainer.devices", "2", "--num_epochs", "1")

    assert outcome.status == 2
    assert outcome.err == (
        "error: 1 image for testing and 2 processes, but each process needs one: give more images, or fewer processes "
        "(--trainer.devices, --trainer.num_nodes)\n"
    )
    assert not Path("outputs").exists()
