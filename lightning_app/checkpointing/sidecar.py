"""The small file beside a checkpoint that says how long it is and which hash it has, and whether a checkpoint is whole.

It is written after the checkpoint: one without it may be whole as well, and its own checksums say so.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from lightning_app.checkpointing.pickled_step import pickled_step

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Sidecar:
    """What is known of a checkpoint without reading it.

    Args:
        step: Optimizer steps in it.
        epoch: Complete epochs in it.
        bytes: Its length.
        sha256: The hash of the whole file, in hexadecimal digits.
    """

    step: int
    epoch: int
    bytes: int
    sha256: str


def sidecar_path(checkpoint: Path) -> Path:
    """``last.ckpt.json`` for ``last.ckpt``."""
    return checkpoint.with_name(f"{checkpoint.name}.json")


def write_sidecar(checkpoint: Path, sidecar: Sidecar) -> None:
    """Writes it beside the checkpoint, in place of an earlier one.

    Raises:
        OSError: It can't be written; an earlier one is unchanged.
    """
    target = sidecar_path(checkpoint)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(sidecar)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def read_sidecar(checkpoint: Path) -> Sidecar | None:
    """The one beside the checkpoint; None if there is none, or if it isn't one."""
    try:
        content = json.loads(sidecar_path(checkpoint).read_text(encoding="utf-8"))
        found = Sidecar(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    numbers = (found.step, found.epoch, found.bytes)
    is_sound = all(type(number) is int and number >= 0 for number in numbers) and isinstance(found.sha256, str)
    return found if is_sound else None


def damage(checkpoint: Path) -> str:
    """What is wrong with the file, for a message; empty if it is whole.

    The sidecar decides; without one, the checksums within the file. Nothing of it is unpickled. A process that was
    killed between two renames leaves a checkpoint beside the sidecar of the one before, which names another step.
    """
    try:
        status = checkpoint.stat()
        if checkpoint.is_dir():
            return "it is a folder"
        if not status.st_size:
            return "it is empty"
        sidecar = read_sidecar(checkpoint)
        if sidecar is None:
            return _damage_by_checksums(checkpoint, status.st_mtime_ns, status.st_size)
        if status.st_size != sidecar.bytes:
            problem = f"it has {status.st_size:,} bytes, and {sidecar.bytes:,} were written"
        elif _hash_of(checkpoint, status.st_mtime_ns, status.st_size) == sidecar.sha256:
            return ""
        else:
            problem = "it is damaged: its hash is wrong"
        if _damage_by_checksums(checkpoint, status.st_mtime_ns, status.st_size):
            return problem
        return problem if pickled_step(checkpoint) in (None, sidecar.step) else ""
    except OSError as error:
        return error.strerror or str(error)


def file_hash(path: Path) -> str:
    """SHA-256 of the whole file, in hexadecimal digits; empty if it can't be read."""
    try:
        status = path.stat()
        return _hash_of(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return ""


@lru_cache(maxsize=8)  # a command reads a checkpoint several times
def _hash_of(path: Path, changed: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _damage_by_checksums(path: Path, changed: int, size: int) -> str:
    """torch.save writes a zip file, which has a checksum of each part: about 1 GB a second."""
    if not zipfile.is_zipfile(path):
        return "it is truncated, or not a checkpoint"
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception:  # damage in the table of contents makes errors of many kinds
        damaged = "contents"
    return "it is damaged: its checksum is wrong" if damaged else ""
