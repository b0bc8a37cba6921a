"""The rows of the table of ``predict``."""

import json
import os
from pathlib import Path

import torch

from lightning_app.output.predictions import Predictions

FOLDER = Path("photos")
PATHS = [FOLDER / "a.jpg", FOLDER / "b" / "ü,.jpg"]


def test_one_label_is_a_row_of_three_cells_in_the_order_of_the_files(tmp_path: Path) -> None:
    parts = [(torch.tensor([1]), torch.tensor([0]), torch.tensor([0.5])),
             (torch.tensor([0]), torch.tensor([1]), torch.tensor([1.0]))]  # fmt: skip

    count = Predictions(FOLDER, PATHS, ["x", "y, z"]).write(tmp_path / "new" / "table.csv", parts)

    assert count == 2
    table = (tmp_path / "new" / "table.csv").read_text(encoding="utf-8")
    assert table.splitlines() == ["file,label,probability", 'a.jpg,"y, z",1.0000', '"b/ü,.jpg",x,0.5000']


def test_a_name_of_any_bytes_is_in_the_table_and_in_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    part = (torch.tensor([0]), torch.tensor([[1, 0]]), torch.tensor([[0.75, 0.25]]))
    table = Predictions(FOLDER, [FOLDER / name], ["x", "y"], {FOLDER / "c.jpg": "cut off"})

    table.write(tmp_path / "table.csv", [part])
    table.write(tmp_path / "table.JSONL", [part])

    assert (tmp_path / "table.csv").read_bytes().splitlines() == [
        b"file,label,probability,label_2,probability_2,error",
        b"\xff.jpg,y,0.7500,x,0.2500,",
        b"c.jpg,,,,,cut off",
    ]
    first, second = map(json.loads, (tmp_path / "table.JSONL").read_text().splitlines())
    assert first == {
        "file": name, "label": "y", "probability": 0.75,
        "labels": [{"label": "y", "probability": 0.75}, {"label": "x", "probability": 0.25}],
    }  # fmt: skip
    assert second == {"file": "c.jpg", "error": "cut off"}
