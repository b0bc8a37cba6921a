"""A run that goes on with other numbers of processes or workers sees the same images and ends with the same weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.run_settings import differences
from tests.lightning_app.test_ddp import (
    GLOBAL_BATCH,
    METRICS_TOLERANCE,
    VALIDATION,
    WEIGHTS_TOLERANCE,
    make_uneven_cifar10,
)
from tests.support.commands import Command
from tests.support.images import make_image_folder

STEPS = 18  # three epochs of six
Shape = tuple[int, int]
"""Processes, and the step at which they end."""


def fit(
    run: Command, monkeypatch: pytest.MonkeyPatch, folder: Path, shapes: list[Shape], *flags: str
) -> list[dict[int, list[int]]]:
    """Trains in one run folder with one shape after the other; returns the images of the steps of each."""
    seen = []
    for processes, steps in shapes:
        notes = Path(f"{folder}-seen-until-{steps}")
        notes.mkdir()
        further = ["--trainer.devices", str(processes), "--trainer.max_steps", str(steps), "--num_epochs", "3"]
        further += ["--trainer.callbacks+=tests.support.lightning_parts.SeenImages"]
        further += ["--trainer.accelerator", "cpu"]
        monkeypatch.setenv("SEEN_IMAGES", str(notes.resolve()))
        done = run("fit", *flags, "--batch_size", str(GLOBAL_BATCH // processes), *further, "--output_dir", str(folder))
        assert (done.status, done.err) == (0, "")
        seen.append(images(notes))
    return seen


def images(folder: Path) -> dict[int, list[int]]:
    """By step, the numbers of its images in order, of all processes."""
    found: dict[int, list[int]] = {}
    for path in folder.iterdir():
        for line in map(json.loads, path.read_text().splitlines()):
            found[line["step"]] = sorted([*found.get(line["step"], []), *line["images"]])
    return found


def assert_same_run(one: Path, other: Path, tolerance: float = WEIGHTS_TOLERANCE) -> None:
    weights, wanted = (
        torch.load(each / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for each in (one, other)
    )
    for name, value in wanted.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=tolerance)
    assert [row["step"] for row in rows(one)] == [row["step"] for row in rows(other)]
    for row, expected in zip(rows(one), rows(other), strict=True):
        assert row["metrics"] == pytest.approx(expected["metrics"], abs=METRICS_TOLERANCE)


def rows(folder: Path) -> list[Any]:
    """The rows of training and validation; those of the test come after each part of a run."""
    return [row for row in read_journal(folder / "metrics.jsonl") if "test_loss" not in row["metrics"]]


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(1, 8), (2, STEPS)]),
        pytest.param([(1, 8), (2, 16), (1, STEPS)], marks=pytest.mark.slow),
        pytest.param([(2, 3), (1, 6), (2, STEPS)], marks=pytest.mark.slow),
        pytest.param([(2, 9), (4, STEPS)], marks=pytest.mark.slow),
    ],
)
def test_other_numbers_of_processes_train_the_same_batches(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shapes: list[Shape]
) -> None:
    data = make_uneven_cifar10(tmp_path / "cifar")
    flags = ["--data_path", str(data), "--data.val_split", str(VALIDATION), "--data.augment", "true"]
    flags += ["--learning_rate", "0.05", "--trainer.log_every_n_steps", "4"]  # no part ends with a logged step

    (expected,) = fit(run, monkeypatch, Path("whole"), [(1, STEPS)], *flags)
    parts = fit(run, monkeypatch, Path("parts"), shapes, *flags)

    assert list(expected) == list(range(STEPS))
    starts = [0, *(steps for _, steps in shapes)]
    for number, part in enumerate(parts):
        assert sorted(part) == list(range(starts[number], starts[number + 1]))
        for step, numbers in part.items():
            # the last step of an epoch has three images, and repeats fill the batches of several processes
            assert set(numbers) == set(expected[step]) or step % 6 == 5
            assert set(expected[step]) <= set(numbers)
    assert_same_run(Path("parts"), Path("whole"))


@pytest.mark.slow
def test_other_numbers_of_workers_train_the_same_images_bit_by_bit(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = make_image_folder(tmp_path / "data", ("train", "val"), count=20)
    flags = ["--model", "ResNetTransfer", "--model.weights", "none", "--model.freeze_backbone", "false"]
    flags += ["--data_path", str(data), "--data.image_size", "32", "--learning_rate", "0.005"]
    (expected,) = fit(run, monkeypatch, Path("whole"), [(1, 15)], *flags, "--num_workers", "2")

    first = fit(run, monkeypatch, Path("parts"), [(1, 7)], *flags, "--num_workers", "2")
    second = fit(run, monkeypatch, Path("parts"), [(1, 15)], *flags, "--num_workers", "0")

    assert first[0] | second[0] == expected
    assert_same_run(Path("parts"), Path("whole"), tolerance=0)


def config(batch_size: int, **trainer: Any) -> dict[str, Any]:
    return {"trainer": trainer, "data": {"class_path": "Data", "init_args": {"batch_size": batch_size}}}


@pytest.mark.parametrize(
    ("earlier", "now", "message"),
    [
        (config(8, devices=1), config(4, devices=2), ""),
        (config(8, devices="auto", accelerator="cpu"), config(2, devices=[0, 1], num_nodes=2), ""),
        (config(8, devices=1), config(8, devices=2), ""),
        (config(8, devices=1), config(4, devices=1), "batch_size was 8, now 4"),
        (config(8, devices="auto", accelerator="gpu"), config(4, devices=2), "batch_size was 8, now 4"),
    ],
)
def test_processes_that_share_the_same_images_of_a_step_are_the_same_run(
    earlier: dict[str, Any], now: dict[str, Any], message: str
) -> None:
    assert differences(earlier, now).endswith(message)
    assert bool(differences(earlier, now)) == bool(message)
