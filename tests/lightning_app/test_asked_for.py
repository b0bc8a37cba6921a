"""What the user asked Lightning to print or to find is shown and kept."""

import logging
import re
from pathlib import Path

import pytest
import torch
import yaml

from lightning_app.console import set_up_console
from tests.support.commands import Command


@pytest.mark.parametrize(
    ("logger", "file", "level", "shown"),
    [
        ("pytorch_lightning.utilities.rank_zero", "/lib/pytorch_lightning/callbacks/timer.py", logging.INFO, True),
        ("pytorch_lightning.callbacks.early_stopping", "/lib/pytorch_lightning/callbacks/x.py", logging.INFO, True),
        ("pytorch_lightning.profilers.profiler", "/lib/pytorch_lightning/profilers/profiler.py", logging.INFO, True),
        ("pytorch_lightning.tuner.lr_finder", "/lib/pytorch_lightning/tuner/lr_finder.py", logging.INFO, True),
        ("pytorch_lightning.utilities.rank_zero", "/lib/pytorch_lightning/trainer/setup.py", logging.INFO, False),
        ("pytorch_lightning.utilities.rank_zero", "/lib/pytorch_lightning/trainer/setup.py", logging.WARNING, True),
        ("lightning_app.command_line.cli", "/lightning_app/command_line/cli.py", logging.INFO, True),
    ],
)
def test_only_chatter_is_hidden(
    logger: str, file: str, level: int, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warnings.showwarning", None)  # restored at the end of the test
    set_up_console(rank=0)

    logging.getLogger(logger).handle(logging.LogRecord(logger, level, file, 1, "the message", (), None))

    for name in ("pytorch_lightning", "lightning_fabric", "lightning", "lightning_app", "datamodules", "models"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    assert capsys.readouterr().out == ("the message\n" if shown else "")


def test_a_run_shows_and_keeps_what_was_asked_for(run: Command, cifar10: Path) -> None:
    flags = [
        *("--data_path", str(cifar10), "--num_epochs", "2", "--data.val_split", "20"),
        *("--trainer.profiler", "simple", "--trainer.enable_model_summary", "true"),
        *("--trainer.callbacks", "LearningRateFinder", "--trainer.callbacks.num_training_steps", "20"),
        *("--trainer.callbacks+", "EarlyStopping", "--trainer.callbacks.monitor", "val_loss"),
        *("--trainer.callbacks.verbose", "true"),
    ]

    outcome = run("fit", *flags)

    assert outcome.status == 0, outcome.err
    assert re.search(r"Metric val_loss improved\. New best score: \d", outcome.out)
    assert "FIT Profiler Report" in outcome.out
    assert re.search(r"\d\.?\d* K +Trainable params", outcome.out)
    assert "GPU available" not in outcome.out + outcome.err
    found = re.search(r"Learning rate set to (\S+)", outcome.out)
    assert found is not None
    rate = float(found[1])
    assert yaml.safe_load(Path("outputs/config.yaml").read_text())["model"]["init_args"]["learning_rate"] == rate
    assert yaml.safe_load(Path("outputs/hparams.yaml").read_text())["learning_rate"] == rate
    checkpoint = torch.load("outputs/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["learning_rate"] == rate
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == rate

    again = run("fit", *flags)

    assert again.status == 0
    assert "training is finished" in again.out
