"""The journal of a run: what is written, read back, and skipped."""

import json
import math
from pathlib import Path

from lightning_app.azureml.journal import Journal, read_journal


def test_a_row_is_one_standard_json_object(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"

    Journal(path).append(2000, 0, {"train_loss": 2.19})

    assert path.read_text() == '{"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}}\n'


def test_nonfinite_numbers_are_kept_as_strings(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"

    Journal(path).append(1, None, {"a": math.nan, "b": math.inf, "c": -math.inf})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse)["metrics"] == {
        "a": "NaN",
        "b": "Infinity",
        "c": "-Infinity",
    }


def test_steps_grow_strictly_for_each_name_across_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.append(10, 0, {"a": 1.0})
    journal.append(20, 1, {"a": 2.0, "b": 1.0})

    resumed = Journal(path)
    resumed.append(20, 1, {"a": 2.5})
    resumed.append(20, 1, {"a": 2.5, "c": 7.0})
    resumed.append(30, 1, {"a": 3.0})

    rows = [(row["step"], row["metrics"]) for row in read_journal(path)]
    assert rows == [(10, {"a": 1.0}), (20, {"a": 2.0, "b": 1.0}), (20, {"c": 7.0}), (30, {"a": 3.0})]


def test_a_row_torn_by_a_power_cut_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    Journal(path).append(1, 0, {"a": 1.0})
    with path.open("a") as file:
        file.write('{"step": 2, "metr')

    Journal(path).append(2, 0, {"a": 2.0})

    assert [row["step"] for row in read_journal(path)] == [1, 2]
