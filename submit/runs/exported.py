"""An exported model, of this machine or among the files of a run, whose files are compared with their hashes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.export.files import CHECKSUMS, DESCRIPTION, FILES, parse_checksums
from submit.errors import SubmitError
from submit.interface import Run
from submit.runs.retry import service_errors
from submit.runs.run_folders import exported_models

RUNTIME = ("torch", "torchvision", "onnxruntime")  # the packages whose versions a registered model names
_PIECE = 2**23  # bytes


@dataclass(frozen=True)
class Exported:
    """What ``model.json`` says, and the SHA-256 of each file."""

    content: Mapping[str, Any]
    hashes: Mapping[str, str]

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        return self.content.get("checkpoint") or {}

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the checkpoint; an export of an earlier version has none."""
        return {str(name): float(value) for name, value in (self.content.get("metrics") or {}).items()}

    def details(self) -> dict[str, object]:
        """What the properties of a registered model say of it."""
        content, agreement = self.content, self.content.get("agreement") or {}
        return {
            "checkpoint_sha256": self.checkpoint.get("sha256"),
            "checkpoint_step": self.checkpoint.get("step"),
            "format": content.get("format"),
            "model": content.get("model"),
            "model_sha256": self.hashes.get(FILES[content["format"]]),
            "created": content.get("created"),
            "classes": content.get("classes"),
            "image_size": (content.get("preprocessing") or {}).get("image_size"),
            "exported_accuracy": agreement.get("exported_accuracy"),
            "compared_images": agreement.get("images"),
            "largest_difference": agreement.get("largest_difference"),
            **{name: (content.get("versions") or {}).get(name) for name in RUNTIME},
        }


class ModelFiles(Protocol):
    """The files of a folder; ``shown`` is what a message calls it."""

    shown: str

    def names(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes: ...

    def sha256(self, name: str) -> str: ...


class LocalFiles:
    """A folder of this machine."""

    def __init__(self, folder: Path, shown: str) -> None:
        self.folder = folder
        self.shown = shown

    def names(self) -> Sequence[str]:
        if not self.folder.is_dir():
            problem = "not a folder" if self.folder.exists() else "no such folder"
            raise SubmitError(
                f"{self.shown}: {problem}; give the folder that python -m lightning_app export has written"
            )
        return sorted(f"{path.name}/" if path.is_dir() else path.name for path in self.folder.iterdir())

    def read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise SubmitError(f"{self.shown}: {name} can't be read ({error.strerror}); export again") from error

    def sha256(self, name: str) -> str:
        return file_hash(self.folder / name)


class RunFiles:
    """The folder of the exported model among a run's files, whatever the run's ``--output_dir``.

    Raises:
        SubmitError: The run has none, or those of several trainings.
        ServiceError: Azure ML doesn't respond.
    """

    def __init__(self, run: Run) -> None:
        with service_errors(f"the files of {run.id}"):
            paths = run.paths()
        found = exported_models(paths)
        if len(found) != 1:
            has = (
                f"several exported models, {', '.join(found)}" if found else "no exported model, such as outputs/export"
            )
            command = f"python -m submit download {run.id} --target here"
            advice = f"download one ({command})"
            if not found:
                advice = (
                    f"export its checkpoint on this machine ({command}; python -m lightning_app export here/outputs)"
                )
            raise SubmitError(f"run {run.id} has {has}; {advice}, and give --export DIR")
        self._run, self.folder = run, found[0]
        self._names = [path.removeprefix(f"{self.folder}/") for path in paths if path.startswith(f"{self.folder}/")]
        self.shown = f"run {run.id}: {self.folder}"

    def names(self) -> Sequence[str]:
        return self._names

    def read(self, name: str) -> bytes:
        return b"".join(self._pieces(name))

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        for piece in self._pieces(name):
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, name: str) -> Iterator[bytes]:
        path = f"{self.folder}/{name}"
        with service_errors(f"{path} of {self._run.id}"):
            file = self._run.file(path)
            size, start = file.properties().size, 0
            while start < size:
                piece = file.read(start, min(_PIECE, size - start))
                if not piece:
                    return
                start += len(piece)
                yield piece


def check_exported(files: ModelFiles) -> Exported:
    """Reads an exported model, of which each file must be what was exported.

    Raises:
        SubmitError: It isn't the folder of an exported model, or a file isn't what it was.
        ServiceError: Azure ML doesn't respond.
    """
    names = files.names()
    if missing := [name for name in (DESCRIPTION, CHECKSUMS) if name not in names]:
        raise SubmitError(
            f"{files.shown}: isn't an exported model, it has no {' and no '.join(missing)}; expected the folder that "
            "python -m lightning_app export has written"
        )
    hashes = _hashes(files)
    _require_named(files, hashes, DESCRIPTION)
    content = _content(files, hashes)
    if unknown := [name for name in names if name not in (*hashes, CHECKSUMS)]:
        raise SubmitError(
            f"{files.shown}: {', '.join(unknown[:5])} isn't part of the exported model, and would be sent with it; "
            "move it elsewhere"
        )
    for name, expected in hashes.items():
        if name not in names or files.sha256(name) != expected:
            problem = "isn't the file that was exported" if name in names else "is missing"
            raise SubmitError(f"{files.shown}: {name} {problem}; export again")
    return Exported(content, hashes)


def _hashes(files: ModelFiles) -> Mapping[str, str]:
    try:
        return parse_checksums(files.read(CHECKSUMS).decode())
    except ValueError as error:
        raise SubmitError(f"{files.shown}: {error}; export again") from error


def _content(files: ModelFiles, hashes: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(files.read(DESCRIPTION))
        model = FILES[content["format"]]
    except (ValueError, TypeError, KeyError) as error:
        raise SubmitError(f"{files.shown}: {DESCRIPTION} isn't what export writes; export again") from error
    _require_named(files, hashes, model)
    return content


def _require_named(files: ModelFiles, hashes: Mapping[str, str], name: str) -> None:
    if name not in hashes:
        raise SubmitError(f"{files.shown}: {CHECKSUMS} doesn't name {name}; export again")
