"""The files of an exported model, and their hashes; this module loads nothing heavy."""

from pathlib import Path
from typing import Literal

from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.errors import UsageError

Format = Literal["onnx", "torch_export"]
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch_export": "model.pt2"}
DESCRIPTION, CHECKSUMS = "model.json", "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Writes the hashes of the folder's files, which ``sha256sum --check SHA256SUMS`` compares."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{file_hash(folder / name)}  {name}\n" for name in names))


def is_export(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file() and (folder / CHECKSUMS).is_file()


def check_files(folder: Path) -> None:
    """Compares the files of an exported model with their hashes.

    Raises:
        UsageError: One has been changed.
        OSError: One is missing.
    """
    lines = (folder / CHECKSUMS).read_text().splitlines()
    for expected, _, name in (line.partition("  ") for line in lines):
        if file_hash(folder / Path(name).name) != expected:
            raise UsageError(f"exported model {str(folder)!r}: {name} isn't the file that was exported; export again")
