"""What a person sees of a training: the bar and the lines of a terminal, the lines of a log file, the summary."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, Timer

from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.checkpointing.monitor import Monitor
from lightning_app.errors import NonFiniteError
from lightning_app.output.devices import unused_gpus
from lightning_app.output.progress import EpochBar, LineLogger
from lightning_app.output.summary import RunRecord, duration, left_nothing_usable, listed, summary
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.callbacks import Throughput
from lightning_app.trainer.nonfinite import NonFiniteLoss
from tests.support.scripted import Scripted, Terminal, data, trainer

VALUES: dict[str, list[float]] = {
    "train_loss": [0.5, 0.25],
    "train_accuracy": [0.625, 0.75],
    "val_loss": [1.0, 1.5],
    "val_accuracy": [0.5, 0.375],
}


def shown_lines(text: str) -> list[str]:
    """What was on the screen at any time, one line each."""
    without_control = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return [line.rstrip() for line in re.split(r"[\r\n]+", without_control) if line.strip()]


def fit_in_a_terminal(columns: int, model: Scripted, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    terminal = Terminal(columns)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("lightning_app.output.progress._SECONDS_BETWEEN_UPDATES", 0)
    with monkeypatch.context() as patch:
        for name in ("stdout", "stderr", "__stdout__"):
            patch.setattr(sys, name, terminal.file)
        trainer(model, folder, callbacks=[EpochBar()], enable_progress_bar=True).fit(model, data(), data())
    return shown_lines(terminal.text())


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_in_a_terminal_nothing_is_cut_off(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted(**VALUES)
    model.log_settings = {"prog_bar": True}

    lines = fit_in_a_terminal(columns, model, tmp_path, monkeypatch)

    assert max(map(len, lines)) <= columns
    assert any("4/4" in line for line in lines)
    assert all(line.count("[") == line.count("]") for line in lines if columns >= 60)  # bars are whole
    ended = [re.sub(r"\d+ s", "0 s", line) for line in lines if not re.search(r"\d+%", line)]
    whole = ["val_loss 1, val_accuracy 0.5, train_loss 0.5, train_accuracy 0.625",
             "val_loss 1.5, val_accuracy 0.375, train_loss 0.25, train_accuracy 0.75"]  # fmt: skip
    for epoch, metrics in enumerate(whole, 1):
        (line,) = (line for line in ended if line.startswith(f"epoch {epoch}/2: 0 s, "))
        shown = line.partition(" s, ")[2].split(", ")
        assert shown == metrics.split(", ")[: len(shown)]  # one line, with as many as fit
        assert len(shown) == {40: 1, 60: 2, 80: 3}.get(columns, 4)


def test_a_bar_has_as_many_metrics_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted(**VALUES)
    model.log_settings = {"prog_bar": True}

    wide = fit_in_a_terminal(150, model, tmp_path, monkeypatch)

    bars = [line for line in wide if "%" in line]
    assert any("train_loss=" in line and "val_accuracy=" in line for line in bars)


def test_metrics_that_are_not_for_the_bar_are_in_the_line_of_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = fit_in_a_terminal(80, Scripted(val_f1=[0.5]), tmp_path, monkeypatch)

    assert any(re.match(r"epoch 1/1: \d+ s, val_f1 0.5$", line) for line in lines)


def test_a_log_file_has_all_metrics_of_a_model_in_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Scripted(train_score=[0.5], train_loss=[0.25], val_loss=[1.0])
    fitted = trainer(model, tmp_path, log_every_n_steps=2)
    fitted.loggers = [LineLogger(fitted)]

    fitted.fit(model, data(), data())

    assert capsys.readouterr().out.splitlines() == [
        "epoch=1, batch=    2: train_score 0.5, train_loss 0.25",
        "epoch=1, batch=    4: train_score 0.5, train_loss 0.25",
        "epoch=1: val_loss 1",
    ]


def fit_with_summary(model: Scripted, folder: Path, *callbacks: pl.Callback, **settings: Any) -> list[str]:
    checkpoints = RunCheckpoints(RunFolder(folder), Monitor())
    own: list[pl.Callback] = [RunRecord(), Throughput(), NonFiniteLoss(stop=False), checkpoints]
    fitted = trainer(model, folder, callbacks=[*own, *callbacks], **settings)
    fitted.fit(model, data(), data())
    return summary(fitted, {"test_loss": 0.5}, [RunFolder(folder).best])


def test_the_summary_has_all_that_a_person_asks_for(tmp_path: Path) -> None:
    lines = fit_with_summary(Scripted(**VALUES), tmp_path)

    assert [re.sub(r"\d+ s on", "0 s on", re.sub(r"[\d,]+ images", "9 images", line)) for line in lines] == [
        "Finished: 2 epochs, 8 steps. Trained 9 images a second.",
        "Time:       0 s on CPU, 1 thread",
        "Last:       val_loss 1.5000, val_accuracy 0.3750, train_loss 0.2500,",
        "            train_accuracy 0.7500",
        "Best:       val_accuracy 0.5000, after epoch 1",
        "Test:       test_loss 0.5000",
        f"Checkpoint: {tmp_path}/checkpoints/best.ckpt",
    ]


@pytest.mark.parametrize(
    ("callbacks", "reason"),
    [
        (
            [EarlyStopping("val_loss", patience=1)],
            "early, by EarlyStopping: Monitored metric val_loss did not improve in the last 1 records. Best score: 1.0",
        ),
        ([Timer({"seconds": 0})], "early, after the time that --trainer.max_time allows"),
    ],
)
def test_the_summary_says_why_training_ended_early(callbacks: list[pl.Callback], reason: str, tmp_path: Path) -> None:
    model = Scripted(val_loss=[1.0, 2.0, 3.0, 4.0])

    lines = fit_with_summary(model, tmp_path, *callbacks)

    text = " ".join(line.strip() for line in lines)
    assert f"Ended: {reason}" in re.sub(" +", " ", text)


class StopsWithin(pl.Callback):
    """Ends training at the second step of the last epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 6


@pytest.mark.parametrize(
    ("callbacks", "settings", "ended"),
    [([], {"max_steps": 6}, []), ([StopsWithin()], {}, ["Ended:      early, by a callback or the model"])],
)
def test_the_summary_counts_complete_epochs(
    callbacks: list[pl.Callback], settings: dict[str, Any], ended: list[str], tmp_path: Path
) -> None:
    lines = fit_with_summary(Scripted(val_loss=[1.0, 2.0]), tmp_path, *callbacks, **settings)

    assert lines[0].startswith("Finished: 1 epoch, 6 steps.")
    assert [line for line in lines if line.startswith("Ended:")] == ended


class Exploding(Scripted):
    """Its loss is NaN from a step on."""

    def __init__(self, first: int) -> None:
        super().__init__(val_accuracy=[0.5, 0.75, 1.0])
        self.first = first

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch).sum()
        return loss * float("nan") if self.global_step >= self.first else loss


def test_a_loss_that_is_not_a_number_gets_one_line_and_is_in_the_summary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = fit_with_summary(Exploding(first=5), tmp_path)

    messages = [record.message for record in caplog.records if "nan" in record.message]
    assert len(messages) == 1
    assert messages[0].startswith("The loss is nan at step 6: try a lower --learning_rate")
    assert "Loss:       NaN or infinite at step 6, and still at the end" in lines


@pytest.mark.parametrize(("scores", "expected"), [([0.5], False), ([float("nan")], True)])
def test_a_run_that_leaves_only_nan_fails(scores: list[float], expected: bool, tmp_path: Path) -> None:
    model = Exploding(first=0)
    model.values = {"val_accuracy": scores}
    checkpoints = RunCheckpoints(RunFolder(tmp_path), Monitor())
    fitted = trainer(model, tmp_path, callbacks=[RunRecord(), NonFiniteLoss(stop=False), checkpoints])

    fitted.fit(model, data(), data())

    assert left_nothing_usable(fitted) is expected


def test_stop_on_nonfinite_ends_training_at_the_step(tmp_path: Path) -> None:
    model = Exploding(first=5)
    fitted = trainer(model, tmp_path, callbacks=[NonFiniteLoss(stop=True)])

    with pytest.raises(NonFiniteError, match="the loss is nan at step 6, and stop_on_nonfinite is set; try a lower"):
        fitted.fit(model, data(), data())

    assert fitted.global_step == 6


def test_a_gpu_that_torch_cannot_use_is_named(tmp_path: Path) -> None:
    model = Scripted()
    cpu = trainer(model, tmp_path)
    assert unused_gpus(cpu, devices=tmp_path) is None

    (tmp_path / "nvidia0").touch()

    found = unused_gpus(cpu, devices=tmp_path)
    assert found is not None
    assert "GPU" in found


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_duration_is_readable(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_many_metrics_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    lines = listed("Last:", {f"val_metric_{number}": number / 100 for number in range(40)})

    assert all(len(line) < 80 for line in lines)
    assert lines[-1].endswith("val_metric_11 0.1100 and 28 more")
