"""The files of an exported model, and their hashes; this module loads nothing heavy."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.errors import UsageError

Format = Literal["onnx", "torch_export"]
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch_export": "model.pt2"}
DESCRIPTION, CHECKSUMS = "model.json", "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


def write_checksums(folder: Path) -> None:
    """Writes the hashes of the folder's files, which ``sha256sum --check SHA256SUMS`` compares."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{file_hash(folder / name)}  {name}\n" for name in names))


def parse_checksums(text: str) -> Mapping[str, str]:
    """The SHA-256 of each file by its name.

    Raises:
        ValueError: A line isn't one that ``write_checksums`` writes.
    """
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{CHECKSUMS} has the line {line[:80]!r}; expected a SHA-256 and the name of a file")
        found[match[2]] = match[1]
    return found


def is_export(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file() and (folder / CHECKSUMS).is_file()


def check_files(folder: Path) -> None:
    """Compares the files of an exported model with their hashes.

    Raises:
        UsageError: One has been changed or is missing.
        OSError: The hashes can't be read.
        ValueError: The hashes aren't what ``write_checksums`` writes.
    """
    for name, expected in parse_checksums((folder / CHECKSUMS).read_text(encoding="utf-8")).items():
        if file_hash(folder / name) != expected:
            raise UsageError(f"exported model {str(folder)!r}: {name} isn't the file that was exported; export again")
