"""``model.json``: what an exported model is, and ``SHA256SUMS``: the hashes of its files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datamodules.preprocessing import Preprocessing
from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.errors import UsageError

Format = Literal["onnx", "torch_export"]
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch_export": "model.pt2"}
DESCRIPTION, CHECKSUMS = "model.json", "SHA256SUMS"
INPUT, OUTPUT = "images", "logits"


@dataclass(frozen=True)
class Description:
    """What a program needs to know of an exported model.

    Args:
        format: How it is exported.
        classes: The names of the outputs.
        preprocessing: How an image file becomes the input; None if the data doesn't say, so that the input is what the
            datamodule makes: float32.
        content: All of ``model.json``.
    """

    format: Format
    classes: Sequence[str]
    preprocessing: Preprocessing | None
    content: dict[str, Any]


def preprocessing_content(preprocessing: Preprocessing | None) -> dict[str, Any] | None:
    if preprocessing is None:
        return None
    return {
        "image_size": preprocessing.size,
        "resizing": preprocessing.resizing,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }


def write_checksums(folder: Path) -> None:
    """Writes the hashes of the folder's files, which ``sha256sum --check SHA256SUMS`` compares."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{file_hash(folder / name)}  {name}\n" for name in names))


def is_export(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file() and (folder / CHECKSUMS).is_file()


def read_description(folder: Path) -> Description:
    """The description in the folder of an exported model, whose files are compared with their hashes.

    Raises:
        UsageError: A file is missing or has been changed.
    """
    try:
        lines = (folder / CHECKSUMS).read_text().splitlines()
        for expected, _, name in (line.partition("  ") for line in lines):
            if file_hash(folder / Path(name).name) != expected:
                raise UsageError(
                    f"exported model {str(folder)!r}: {name} isn't the file that was exported; export again"
                )
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        given = content["preprocessing"]
        preprocessing = None
        if given is not None:
            mean, std = (tuple(map(float, given[name])) for name in ("mean", "std"))
            preprocessing = Preprocessing(int(given["image_size"]), given["resizing"], mean, std)  # type: ignore[arg-type]  # three each
        return Description(content["format"], list(map(str, content["classes"])), preprocessing, content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"exported model {str(folder)!r}: can't be read ({error}); expected the folder that export has written"
        ) from error
