"""``validate``, ``test`` and ``predict`` with the checkpoint of a real run."""

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest

from lightning_app.azureml.journal import read_journal
from tests.support.commands import Command, command_line, environment
from tests.support.images import make_image_folder
from tests.support.scripted import Terminal


def test_a_transfer_run_is_validated_and_labels_images_without_its_training_data(run: Command, tmp_path: Path) -> None:
    make_image_folder(tmp_path / "data")
    make_image_folder(tmp_path / "photos" / "sub", splits=("",))
    flags = ["--model", "ResNetTransfer", "--model.weights", "none", "--data.image_size", "32", "--num_epochs", "3"]
    fitted = run("fit", *flags, "--data_path", "data", "--learning_rate", "0.01", "--model.freeze_backbone", "false")
    assert fitted.status == 0, fitted.err
    logged = [row["metrics"]["val_accuracy"] for row in read_journal(Path("outputs/metrics.jsonl"))
              if "val_accuracy" in row["metrics"]]  # fmt: skip

    validated = run("validate")
    assert (validated.status, validated.err) == (0, "")
    assert f"val_accuracy {max(logged):.4f}" in validated.out

    tested = run("test")
    assert tested.status == 2
    assert "test: the data has no test images; give other data with --data_path" in tested.err

    (tmp_path / "data").rename(tmp_path / "gone")
    predicted = run("predict", "--data_path", "photos", "--batch_size", "5")
    assert (predicted.status, predicted.err) == (0, "")
    with Path("outputs/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert rows[0]["file"] == "sub/dark/dark0.jpg"
    assert len(rows) == 12
    assert {row["label"] for row in rows} <= {"dark", "light"}
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


def test_a_cifar_network_labels_images_of_any_size(run: Command, cifar10: Path, image_folder: Path) -> None:
    assert run("fit", "--data_path", str(cifar10), "--num_epochs", "1", "--output_dir", "my_run").status == 0

    checkpoint = "my_run/checkpoints/last.ckpt"
    outcome = run("predict", "--ckpt_path", checkpoint, "--data_path", str(image_folder / "val"), "--csv", "labels.csv")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "12 images labelled: labels.csv\n"
    assert Path("labels.csv").read_text().startswith("file,label,probability\ndark/dark0.jpg,")
    tested = run("test", "--output_dir", "my_run")
    expected = list(read_journal(Path("my_run/metrics.jsonl")))[-1]["metrics"]["test_accuracy"]
    assert f"test_accuracy {expected:.4f}" in tested.out


def test_several_labels_and_unreadable_files_are_in_the_table(run: Command, cifar10: Path, tmp_path: Path) -> None:
    assert run("fit", "--data_path", str(cifar10), "--num_epochs", "1").status == 0
    photos = make_image_folder(tmp_path / "photos", splits=("",))
    (photos / "dark" / "broken.jpg").write_bytes(b"no image")
    flags = ["--data_path", "photos", "--data.skip_broken", "true"]

    refused = run("predict", "--data_path", "photos")
    one = run("predict", *flags)
    table = run("predict", *flags, "--top_k", "3", "--csv", "three.csv")
    lines = run("predict", *flags, "--top_k", "20", "--csv", "all.jsonl")
    terminal = Terminal(80)
    arguments = command_line("predict", *flags, "--csv", "again.csv")
    in_terminal = subprocess.Popen(arguments, stdout=terminal.file, stderr=terminal.file, env=environment())

    assert in_terminal.wait() == 0
    assert re.search(r"Predicting.* 100%", terminal.text())
    assert refused.status == 2
    assert [outcome.status for outcome in (one, table, lines)] == [0, 0, 0]
    assert table.out.endswith("12 images labelled; 1 file can't be read: three.csv\n")
    with Path("outputs/predictions.csv").open(newline="") as file:
        best = list(csv.DictReader(file))
    with Path("three.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["label", "probability", "label_2", "probability_2", "label_3", "probability_3"]
    assert list(rows[0]) == ["file", *names, "error"]
    assert list(best[0]) == ["file", "label", "probability", "error"]
    assert [{name: row[name] for name in best[0]} for row in rows] == best
    *labelled, broken = rows
    assert len(labelled) == 12
    assert (broken["file"], broken["label"]) == ("dark/broken.jpg", "")
    assert broken["error"]
    assert all(float(row["probability"]) >= float(row["probability_2"]) for row in labelled)
    objects = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    assert [each["file"] for each in objects] == [row["file"] for row in rows]
    for each, row in zip(objects[:-1], labelled, strict=True):
        assert (each["label"], each["labels"][1]["label"]) == (row["label"], row["label_2"])
        assert len(each["labels"]) == 10
        assert sum(label["probability"] for label in each["labels"]) == pytest.approx(1, abs=1e-4)
    assert objects[-1] == {"file": "dark/broken.jpg", "error": broken["error"]}


def test_validate_uses_the_validation_images_that_the_seed_of_the_run_chose(run: Command, cifar10: Path) -> None:
    flags = ["--data_path", str(cifar10), "--num_epochs", "2", "--data.val_split", "60", "--seed", "7"]
    assert run("fit", *flags).status == 0
    rows = [row["metrics"] for row in read_journal(Path("outputs/metrics.jsonl")) if "val_loss" in row["metrics"]]
    best = max(rows, key=lambda metrics: metrics["val_accuracy"])

    outcome = run("validate")

    assert f"val_loss {best['val_loss']:.4f}" in outcome.out, outcome.err


def test_data_with_other_classes_is_refused(run: Command, tmp_path: Path) -> None:
    make_image_folder(tmp_path / "data")
    flags = ["--model", "ResNetTransfer", "--model.weights", "none", "--data.image_size", "32", "--num_epochs", "1"]
    assert run("fit", *flags, "--data_path", "data").status == 0
    for split in ("train", "val"):
        (tmp_path / "data" / split / "dark").rename(tmp_path / "data" / split / "night")

    validated = run("validate")
    resumed = run("fit", *flags, "--data_path", "data", "--num_epochs", "2")

    for outcome in (validated, resumed):
        assert outcome.status == 2
        assert "holds the classes light, night, but " in outcome.err
        assert "was trained on dark, light; give data with the same classes" in outcome.err
