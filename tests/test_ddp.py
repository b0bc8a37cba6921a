"""Two processes of one run on this machine, as Lightning starts them."""

from pathlib import Path

from lightning_app.journal import read_journal
from tests.conftest import Command


def test_two_processes_measure_every_image_once_and_log_once(run: Command, cifar10: Path) -> None:
    flags = ["--data_path", str(cifar10), "--data.val_split", "41", "--trainer.accelerator", "cpu", "--num_epochs", "1"]
    together = run("fit", *flags, "--batch_size", "3", "--trainer.devices", "2")
    assert (together.status, together.err) == (0, "")
    rows = list(read_journal(Path("outputs/metrics.jsonl")))
    assert [list(row["metrics"]) for row in rows] == [
        ["train_loss", "train_accuracy"],
        ["val_loss", "val_accuracy"],
        ["test_loss", "test_accuracy"],
    ]

    # the same network, measured by one process: 41 images are no multiple of two
    alone = run("validate", "--trainer.devices", "1")

    assert f"val_accuracy {rows[1]['metrics']['val_accuracy']:.4f}" in alone.out
    assert f"val_loss {rows[1]['metrics']['val_loss']:.4f}" in alone.out
