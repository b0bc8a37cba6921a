"""Tables, JSON and picture of the comparison with other programs, from measurements made up here."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import picture, start_up, throughput, time_to_accuracy
from benchmarks.__main__ import Report
from benchmarks.memory import write_images
from benchmarks.throughput import LIMIT, THIS_PROJECT
from benchmarks.time_to_accuracy import TUTORIAL, Run
from datamodules.cifar10_files import find_folder, read_split

SPEED = {
    "batch 4": {"tutorial": [10.0, 20.0, 30.0], "usual_lightning": [5.0, 5.0, 5.0], THIS_PROJECT: [20.0, 40.0, 90.0],
                LIMIT: [40.0, 50.0, 90.0]},
    "2 processes": {THIS_PROJECT: [3000.0, 3000.0, 3000.0], LIMIT: [4000.0, 4000.0, 4000.0]},
}  # fmt: skip
ACCURACY = {
    TUTORIAL: [Run(84.0, 0.5, [(40.0, 0.4), (80.0, 0.5)])],
    "recipe cifar_net": [Run(8.0, 0.6, [(3.0, 0.3), (5.0, 0.6)])],
}


def test_a_ratio_is_that_of_the_same_round() -> None:
    tutorial, _, ours, limit = throughput.table(SPEED).splitlines()[2:]

    assert tutorial == "| (a) the tutorials' own loop | 20 (2.00; 2.00 to 3.00) |  |"
    assert ours == "| (c) this project | 40 | 3,000 |"
    assert limit.endswith("| 50 (0.80; 0.50 to 1.00) | 4,000 (0.75; 0.75 to 0.75) |")


def test_start_up_is_compared_with_imports_and_data() -> None:
    rows = start_up.table({start_up.LIMIT: [2.0, 4.0], start_up.THIS_PROJECT: [3.0, 4.0]}).splitlines()[2:]

    assert rows == ["| imports and data alone | 3.00 | 1 |", "| to the first step | 3.50 | 1.25 (1.00 to 1.50) |"]


def test_time_to_accuracy_is_that_of_the_training_and_of_the_whole_program() -> None:
    rows = time_to_accuracy.table(ACCURACY).splitlines()[2:]

    assert rows == [
        "| the tutorials' loop | 80.0 (1.0) | 84.0 (1.0) | 0.500 | 0.500 to 0.500 |",
        "| recipe cifar_net | 5.0 (16.0) | 8.0 (10.5) | 0.600 | 0.600 to 0.600 |",
    ]


@pytest.mark.parametrize(("speed", "accuracy"), [(SPEED, ACCURACY), (SPEED, None), (None, ACCURACY)])
def test_the_picture_shows_what_was_measured(
    tmp_path: Path, speed: throughput.Results | None, accuracy: time_to_accuracy.Results | None
) -> None:
    picture.draw(tmp_path / "picture.svg", speed, accuracy)

    drawn = ET.parse(tmp_path / "picture.svg").getroot()  # noqa: S314  written here
    axes = [e for e in drawn.iter() if e.get("id", "").startswith("axes_")]
    assert len(axes) == sum(part is not None for part in (speed, accuracy))


def test_each_part_is_written_when_it_is_there(tmp_path: Path) -> None:
    report = Report(tmp_path)

    report.add("speed", "Speed", SPEED, throughput.table(SPEED))
    report.add("accuracy", "Accuracy", time_to_accuracy.as_json(ACCURACY), time_to_accuracy.table(ACCURACY))

    written = json.loads((tmp_path / "benchmarks.json").read_text())
    assert written["speed"] == SPEED
    assert written["accuracy"][TUTORIAL][0] == {"seconds": 84.0, "accuracy": 0.5, "curve": [[40.0, 0.4], [80.0, 0.5]]}
    assert (tmp_path / "benchmarks.md").read_text().count("\n## ") == 1


def test_the_images_of_the_memory_benchmark_are_read_as_cifar10(tmp_path: Path) -> None:
    folder = find_folder(write_images(tmp_path, 50))

    assert len(read_split(folder, train=True, classes=10)) == 50
    assert len(read_split(folder, train=False, classes=10)) == 10
