"""``fit``: the real command line in a process of its own."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.support.commands import Command, command_line, environment
from tests.support.images import make_cifar10
from tests.support.jobs import logged_rows
from tests.support.scripted import Terminal


def state(folder: str) -> dict[str, torch.Tensor]:
    content: dict[str, Any] = torch.load(f"{folder}/checkpoints/last.ckpt", weights_only=True)
    state_dict: dict[str, torch.Tensor] = content["state_dict"]
    return state_dict


def same_weights(one: str, other: str) -> bool:
    return all(torch.equal(value, state(other)[name]) for name, value in state(one).items())


def journal(folder: str) -> list[dict[str, Any]]:
    return logged_rows(Path(folder))


def test_without_arguments_a_network_learns_generated_images(run: Command) -> None:
    outcome = run("fit")

    assert (outcome.status, outcome.err) == (0, "")
    assert "\r" not in outcome.out
    assert outcome.out.startswith("Images: GENERATED on this machine, not real data: 10,000 for training, 2,000 for")
    lines = re.findall(r"^epoch=(\d), batch= (\d{4}): loss \d\.\d\d$", outcome.out, re.MULTILINE)
    assert lines == [("1", "2000"), ("1", "2500"), ("2", "2000"), ("2", "2500")]
    assert re.search(r"^Finished: 2 epochs, 5,000 steps\. Trained [\d,]+ images a second\.$", outcome.out, re.MULTILINE)
    assert "\nTraining on CPU, 1 thread.\n" in outcome.out
    assert re.search(r"^Last: +train_loss \d\.\d{4}, train_accuracy [01]\.\d{4}$", outcome.out, re.MULTILINE)
    assert "Checkpoint: outputs/checkpoints/last.ckpt" in outcome.out
    *_, last = journal("outputs")
    assert last["step"] == 5000
    assert last["metrics"]["test_accuracy"] >= 0.9
    assert list(Path("logs/outputs").glob("events.out.tfevents.*"))
    visible = sorted(path.name for path in Path("outputs").iterdir() if not path.name.startswith("."))
    assert visible == [
        "charts",
        "checkpoints",
        "config.yaml",
        "history.jsonl",
        "hparams.yaml",
        "metrics.jsonl",
        "report.html",
        "test_metrics.json",
    ]
    saved = sorted(path.name for path in Path("outputs/checkpoints").iterdir())
    assert saved == ["last.ckpt", "last.ckpt.json", "step-000002500.ckpt", "step-000002500.ckpt.json"]


def test_the_journal_holds_the_mean_loss_of_each_interval(run: Command, cifar10: Path) -> None:
    outcome = run("fit", "--data_path", str(cifar10), "--num_epochs", "2", "--trainer.log_every_n_steps", "20")

    assert outcome.status == 0, outcome.err
    steps = [(row["step"], row["epoch"]) for row in journal("outputs") if "train_loss" in row["metrics"]]
    # counted within each epoch of 50 batches, and at its end
    assert steps == [(20, 0), (40, 0), (50, 0), (70, 1), (90, 1), (100, 1)]
    measures = ("loss", "accuracy", "macro_f1", "balanced_accuracy", "top5_accuracy", "calibration_error")
    assert journal("outputs")[-1]["metrics"].keys() == {f"test_{measure}" for measure in measures}


def test_validation_images_choose_the_best_checkpoint(run: Command, cifar10: Path) -> None:
    outcome = run(
        "fit", "--data_path", str(cifar10), "--data.val_split", "50", "--num_epochs", "3", "--batch_size", "10"
    )

    assert outcome.status == 0, outcome.err
    scores = [row["metrics"]["val_accuracy"] for row in journal("outputs") if "val_accuracy" in row["metrics"]]
    best = torch.load("outputs/checkpoints/best.ckpt", weights_only=True)
    assert len(scores) == 3
    assert best["epoch"] == scores.index(max(scores))
    assert "Checkpoint: outputs/checkpoints/best.ckpt" in outcome.out


def test_config_yaml_reproduces_the_run(run: Command, cifar10: Path) -> None:
    flags = ["--data_path", str(cifar10), "--seed", "5", "--learning_rate", "0.01", "--data.augment", "true"]
    assert run("fit", *flags, "--num_epochs", "1").status == 0

    again = run("fit", "--config", "outputs/config.yaml", "--output_dir", "again")

    assert again.status == 0, again.err
    assert same_weights("outputs", "again")
    assert yaml.safe_load(Path("again/config.yaml").read_text())["model"]["init_args"]["learning_rate"] == 0.01


def test_a_killed_run_continues_and_ends_like_a_run_that_was_never_stopped(run: Command, tmp_path: Path) -> None:
    make_cifar10(tmp_path / "data", images_per_file=400)
    flags = ["--data_path", "data", "--num_epochs", "3", "--data.augment", "true", "--data.val_split", "100"]
    assert run("fit", *flags, "--output_dir", "whole").status == 0
    first = subprocess.Popen(command_line("fit", *flags, "--output_dir", "killed"), env=environment())
    while not Path("killed/checkpoints/last.ckpt").exists():
        time.sleep(0.005)
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    killed_after = torch.load("killed/checkpoints/last.ckpt", weights_only=True)["epoch"]

    second = run("fit", *flags, "--output_dir", "killed")

    assert second.status == 0, second.err
    assert killed_after < 2
    assert f"Continuing from killed/checkpoints/last.ckpt, after {killed_after + 1} epoch" in second.out
    assert same_weights("whole", "killed")
    assert journal("whole") == journal("killed")


def test_a_finished_run_is_not_trained_again_and_a_raised_number_of_epochs_continues_it(
    run: Command, cifar10: Path
) -> None:
    flags = ["--data_path", str(cifar10), "--batch_size", "20"]
    assert run("fit", *flags, "--num_epochs", "1").status == 0
    before = journal("outputs")

    again = run("fit", *flags, "--num_epochs", "1")
    assert again.out.startswith("outputs: training is finished (1 epoch). To continue, raise --num_epochs")
    assert (again.status, journal("outputs")) == (0, before)

    more = run("fit", *flags, "--num_epochs", "2")
    assert "Continuing from outputs/checkpoints/last.ckpt, after 1 epoch and 10 steps." in more.out
    assert run("fit", *flags, "--num_epochs", "2", "--output_dir", "whole").status == 0
    assert same_weights("whole", "outputs")

    fresh = run("fit", *flags, "--num_epochs", "1", "--resume", "never")
    assert "outputs: the earlier run was moved to outputs/previous/001" in fresh.out
    assert journal("outputs") == before
    assert Path("outputs/previous/001/checkpoints/last.ckpt").exists()


def test_an_unfinished_run_with_other_settings_is_neither_overwritten_nor_continued(
    run: Command, cifar10: Path
) -> None:
    flags = ["--data_path", str(cifar10), "--batch_size", "20", "--num_epochs", "1"]
    assert run("fit", *flags).status == 0
    before = journal("outputs")
    content = torch.load("outputs/checkpoints/last.ckpt", weights_only=True)
    config = yaml.safe_load(Path("outputs/config.yaml").read_text())
    config["trainer"]["max_epochs"] = 3  # as if it had been stopped after the first epoch
    Path("outputs/config.yaml").write_text(yaml.safe_dump(config))

    outcome = run("fit", *flags, "--learning_rate", "0.5")

    assert outcome.status == 2
    assert "holds a run with other settings (--learning_rate was 0.001, now 0.5)" in outcome.err
    assert journal("outputs") == before
    assert content["exact_resume"]["end"] == {"reason": "max_epochs", "by": ""}


def test_one_command_after_the_other_trains_in_the_same_folder(run: Command, cifar10: Path) -> None:
    """Generated images first, then real ones, then other settings: what is finished gives way, and is kept."""
    few = ["--trainer.limit_train_batches", "20", "--num_epochs", "1"]
    assert run("fit", *few).status == 0

    real = run("fit", "--data_path", str(cifar10), *few)
    other = run("fit", "--data_path", str(cifar10), *few, "--learning_rate", "0.003")
    whole = run("fit", "--data_path", str(cifar10), "--num_epochs", "1", "--learning_rate", "0.003")

    assert [outcome.status for outcome in (real, other, whole)] == [0, 0, 0]
    assert "outputs: the earlier run (of generated images) was moved to outputs/previous/001" in real.out
    moved = "outputs: the earlier run (which is finished; --learning_rate was 0.001, now 0.003) was moved to"
    assert f"{moved} outputs/previous/002" in other.out
    assert "--trainer.limit_train_batches was 20" in whole.out
    assert journal("outputs")[-1]["step"] == 50
    assert Path("outputs/previous/001/checkpoints/last.ckpt").exists()


def test_training_continues_from_a_checkpoint_or_a_run_folder_elsewhere(run: Command, cifar10: Path) -> None:
    flags = ["--data_path", str(cifar10), "--batch_size", "20"]
    assert run("fit", *flags, "--num_epochs", "1", "--output_dir", "first").status == 0
    assert run("fit", *flags, "--num_epochs", "2", "--output_dir", "whole").status == 0

    for number, resume in enumerate(["first", "first/checkpoints/last.ckpt"]):
        outcome = run("fit", *flags, "--num_epochs", "2", "--output_dir", f"r{number}", "--resume", resume)
        assert outcome.status == 0, outcome.err
        assert same_weights(f"r{number}", "whole")

    # a restart of the same command by a cluster continues from its own checkpoint, which here is complete
    again = run("fit", *flags, "--num_epochs", "2", "--output_dir", "r0", "--resume", "first")
    assert again.out.startswith("r0: training is finished (2 epochs)")


def test_a_terminal_of_80_columns_shows_a_bar_and_the_metrics_of_each_epoch(run: Command, cifar10: Path) -> None:
    terminal = Terminal(80)
    arguments = command_line("fit", "--data_path", str(cifar10), "--num_epochs", "1", "--data.val_split", "20")

    process = subprocess.Popen(arguments, stdout=terminal.file, stderr=terminal.file, env=environment())

    assert process.wait() == 0
    text = terminal.text()
    assert re.search(r"epoch 1/1: +\d+%.*/45 \[", text), text
    assert re.search(r"epoch 1/1: \d+ s, val_loss \d.*val_accuracy \d", text), text
    assert re.search(r"Last: +val_loss \d\.\d{4}, val_accuracy \d\.\d{4}, val_macro_f1", text), text
    assert re.search(r"Best: +val_accuracy \d\.\d{4}, after epoch 1", text), text
    assert "batch=" not in text


def test_a_model_and_data_from_outside_the_project_are_trained(run: Command, tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(
        """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class MyModel(pl.LightningModule):
    def __init__(self, width: int = 8):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))

    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("my_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

class MyData(pl.LightningDataModule):
    def __init__(self, batch_size: int = 16):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        points = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(points, (points.sum(1) > 0).long()), batch_size=self.batch_size)
"""
    )
    classes = ["--model", "my_module.MyModel", "--data", "my_module.MyData"]

    outcome = run("fit", *classes, "--model.width", "16", "--batch_size", "8", "--num_epochs", "2")
    short = run("fit", *classes, "--num_epochs", "2", "--output_dir", "short")

    assert (outcome.status, outcome.err) == (0, "")
    rows = [(row["step"], row["epoch"]) for row in journal("outputs") if "my_loss" in row["metrics"]]
    assert rows == [(49, 0), (99, 1)]  # Lightning's interval is 50 steps, which it counts from 0
    assert (short.status, short.err) == (0, "")
    assert [row["step"] for row in journal("short")] == [31, 63]  # an epoch has 32 steps, and one row at least
    assert state("outputs")["layers.0.weight"].shape == (16, 4)
    assert "Finished: 2 epochs, 128 steps." in outcome.out


def test_a_run_of_nan_fails_in_one_line_and_its_journal_is_standard_json(run: Command, cifar10: Path) -> None:
    outcome = run("fit", "--data_path", str(cifar10), "--learning_rate", "1e20", "--num_epochs", "1")

    assert outcome.status == 1
    assert outcome.err == "error: the loss was NaN or infinite to the end; no usable checkpoint is left\n"
    assert re.search(r"^The loss is (nan|inf) at step \d+: try a lower --learning_rate", outcome.out, re.MULTILINE)
    assert re.search(r"^Loss: +NaN or infinite at step \d+, and still at the end$", outcome.out, re.MULTILINE)

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in Path("outputs/metrics.jsonl").read_text().splitlines()]
    assert rows[0]["metrics"]["train_loss"] == "NaN"
