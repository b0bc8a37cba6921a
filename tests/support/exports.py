"""Folders of exported models whose network is never computed."""

import json
from pathlib import Path
from typing import Any

from lightning_app.export.files import DESCRIPTION, FILES, write_checksums

PREPROCESSING = {"image_size": 32, "resizing": "squeeze", "mean": [0.5] * 3, "std": [0.5] * 3}
VERSIONS = {"torch": "2.8.0+cu126", "torchvision": "0.23.0+cu126", "onnxruntime": "1.22.0"}


def make_export(folder: Path, **changes: Any) -> Path:
    """A folder as the command export writes it."""
    folder.mkdir(parents=True)
    content = {"format": "onnx", "classes": ["cat", "dog"], "preprocessing": PREPROCESSING, "versions": VERSIONS}
    (folder / DESCRIPTION).write_text(json.dumps(content | changes))
    (folder / FILES["onnx"]).write_bytes(b"the network")
    write_checksums(folder)
    return folder
