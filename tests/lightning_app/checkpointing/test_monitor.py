"""``--monitor``: which metric chooses ``best.ckpt``, for models that log other names than this project's."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.checkpointing.monitor import Mode, Monitor
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from tests.support.scripted import Scripted, data, trainer

NAN = math.nan


def fit(model: Scripted, folder: Path, monitor: Monitor, checkpoint: Path | None = None, **settings: Any) -> RunFolder:
    run_folder = RunFolder(folder)
    callbacks = [RunCheckpoints(run_folder, monitor)]
    trainer(model, folder, callbacks=callbacks, num_sanity_val_steps=1, **settings).fit(
        model, data(), data(), ckpt_path=checkpoint, weights_only=True
    )
    return run_folder


def best_epoch(folder: RunFolder) -> int:
    epoch: int = torch.load(folder.best, weights_only=True)["epoch"]
    return epoch + 1


@pytest.mark.parametrize(
    ("name", "mode", "values", "expected"),
    [
        (None, None, {"val_accuracy": [0.2, 0.9, 0.5]}, 2),
        (None, None, {"val_loss": [0.5, 0.7, 0.1]}, 3),
        (None, None, {"val_loss": [0.1, 0.7, 0.5], "val_accuracy": [0.2, 0.9, 0.5]}, 2),
        ("val_f1", None, {"val_f1": [0.2, 0.9, 0.5]}, 2),
        ("val_word_error", None, {"val_word_error": [0.2, 0.9, 0.1]}, 3),
        ("val_lossless", None, {"val_lossless": [0.2, 0.9, 0.1]}, 2),
        ("val_distance", "min", {"val_distance": [0.2, 0.1, 0.5]}, 2),
        ("train_score", None, {"train_score": [0.2, 0.9, 0.5]}, 2),
        (None, None, {"val_accuracy": [NAN, 0.3, NAN]}, 2),
        (None, None, {"val_loss": [0.5, -math.inf, 0.1]}, 3),
    ],
)
def test_the_monitored_metric_chooses_the_best_checkpoint(
    name: str | None, mode: Mode | None, values: dict[str, list[float]], expected: int, tmp_path: Path
) -> None:
    monitor = Monitor(name, mode)

    folder = fit(Scripted(**values), tmp_path, monitor)

    assert best_epoch(folder) == expected
    assert monitor.best is not None
    assert (monitor.best.epoch, monitor.best.step) == (expected, 4 * expected)


def test_the_metrics_of_the_best_checkpoint_are_beside_it(tmp_path: Path) -> None:
    folder = fit(Scripted(val_accuracy=[0.2, 0.9, 0.5], val_loss=[3.0, 2.0, NAN]), tmp_path, Monitor())

    content = json.loads(folder.best_metrics.read_text())
    assert (content["monitor"], content["mode"], content["epoch"], content["step"]) == ("val_accuracy", "max", 2, 8)
    assert content["metrics"] == {"val_accuracy": pytest.approx(0.9), "val_loss": 2.0}


@pytest.mark.parametrize("name", ["train_score_epoch", "train_score_step", "train_score"])
def test_a_metric_that_is_logged_per_step_and_epoch_can_be_monitored_in_each_form(name: str, tmp_path: Path) -> None:
    model = Scripted(train_score=[0.2, 0.9, 0.5])
    model.log_settings = {"on_step": True, "on_epoch": True}

    assert best_epoch(fit(model, tmp_path, Monitor(name))) == 2


def test_a_name_that_is_not_logged_is_an_error_with_the_names_that_are(tmp_path: Path) -> None:
    model = Scripted(val_f1=[0.1, 0.2], train_loss=[1, 2])

    with pytest.raises(UsageError, match="--monitor val_f2: no metric of this name is logged; the logged ones are: "
                       "train_loss, val_f1"):  # fmt: skip
        fit(model, tmp_path, Monitor("val_f2"))

    assert RunFolder(tmp_path).last.exists()  # the epoch isn't lost


def test_a_name_is_looked_for_after_the_first_validation(tmp_path: Path) -> None:
    folder = fit(Scripted(val_f1=[0.1, 0.2]), tmp_path, Monitor("val_f1"), check_val_every_n_epoch=2)

    assert best_epoch(folder) == 2


def test_a_model_without_a_usual_name_gets_one_line_about_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lightning_app")

    folder = fit(Scripted(val_f1=[0.1, 0.2], train_loss=[1, 2]), tmp_path, Monitor())

    assert [record.message for record in caplog.records if "best.ckpt" in record.message] == [
        "No best.ckpt is saved: give --monitor NAME to choose it by one of the metrics train_loss, val_f1."
    ]
    assert folder.last.exists()
    assert not folder.best.exists()


def test_each_validation_within_an_epoch_counts(tmp_path: Path) -> None:
    model = Scripted(train_score=[0])
    values = iter([0.5, 0.1, 0.2, 0.3, 0.0])  # the first one is that of the sanity check
    model.validation_step = lambda batch: None  # type: ignore[assignment,misc]
    model.on_validation_epoch_end = lambda: model.log("val_loss", next(values))  # type: ignore[method-assign]
    monitor = Monitor()

    folder = fit(model, tmp_path, monitor, val_check_interval=1)

    assert monitor.best is not None
    assert (monitor.best.score, monitor.best.step) == (0.0, 4)
    assert torch.load(folder.best, weights_only=True)["global_step"] == 4


def test_a_resumed_run_keeps_its_best(tmp_path: Path) -> None:
    values = {"val_f1": [0.1, 0.9, 0.5, 0.7]}
    fit(Scripted(**values), tmp_path, Monitor("val_f1"), max_epochs=3)
    resumed = Monitor("val_f1")

    folder = fit(Scripted(**values), tmp_path, resumed, checkpoint=RunFolder(tmp_path).last)

    assert best_epoch(folder) == 2
    assert resumed.best is not None
    assert resumed.best.score == pytest.approx(0.9)


def test_a_run_that_is_resumed_with_another_monitor_or_folder_compares_anew(tmp_path: Path) -> None:
    values = {"val_f1": [0.1, 0.9, 0.5, 0.7], "val_loss": [0.1, 0.2, 0.3, 0.4]}
    fit(Scripted(**values), tmp_path / "one", Monitor("val_f1"), max_epochs=2)
    last = RunFolder(tmp_path / "one").last

    elsewhere = fit(Scripted(**values), tmp_path / "other", Monitor("val_f1"), checkpoint=last)
    by_loss = fit(Scripted(**values), tmp_path / "third", Monitor("val_loss"), checkpoint=last)

    assert best_epoch(elsewhere) == 4
    assert best_epoch(by_loss) == 3
