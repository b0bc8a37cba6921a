"""The file beside a checkpoint, and what it and the checksums find of damage."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from lightning_app.checkpointing.sidecar import Sidecar, damage, read_sidecar, sidecar_path, write_sidecar


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(5000.0)}}, path)
    return path


def describe(checkpoint: Path, step: int = 1500, epoch: int = 3) -> Sidecar:
    content = checkpoint.read_bytes()
    return Sidecar(step, epoch, len(content), hashlib.sha256(content).hexdigest())


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    later = path.stat().st_mtime_ns + 10**9  # file systems count in milliseconds, and a test may take less than one
    path.write_bytes(content)
    os.utime(path, ns=(later, later))


def test_what_is_written_is_read(checkpoint: Path) -> None:
    written = describe(checkpoint)
    write_sidecar(checkpoint, written)

    assert read_sidecar(checkpoint) == written
    assert json.loads((checkpoint.parent / "last.ckpt.json").read_text()) == {
        "step": 1500,
        "epoch": 3,
        "bytes": checkpoint.stat().st_size,
        "sha256": written.sha256,
    }
    assert damage(checkpoint) == ""
    assert {path.name for path in checkpoint.parent.iterdir()} == {"last.ckpt", "last.ckpt.json"}


@pytest.mark.parametrize("has_sidecar", [True, False])
def test_a_single_bit_is_noticed(checkpoint: Path, has_sidecar: bool) -> None:
    if has_sidecar:
        write_sidecar(checkpoint, describe(checkpoint))
    flip_bit(checkpoint, checkpoint.stat().st_size // 2)

    assert damage(checkpoint) == f"it is damaged: its {'hash' if has_sidecar else 'checksum'} is wrong"


def test_a_bit_that_no_checksum_of_the_file_covers_is_noticed(checkpoint: Path) -> None:
    """Between the parts of the zip file are bytes for alignment."""
    write_sidecar(checkpoint, describe(checkpoint))
    position = checkpoint.read_bytes().index(b"ZZZZ")
    flip_bit(checkpoint, position)

    assert damage(checkpoint) == "it is damaged: its hash is wrong"
    sidecar_path(checkpoint).unlink()
    assert damage(checkpoint) == ""


@pytest.mark.parametrize("has_sidecar", [True, False])
def test_a_file_that_was_cut_off_is_noticed(checkpoint: Path, has_sidecar: bool) -> None:
    size = checkpoint.stat().st_size
    if has_sidecar:
        write_sidecar(checkpoint, describe(checkpoint))
    os.truncate(checkpoint, 1000)

    with_length = f"it has 1,000 bytes, and {size:,} were written"
    assert damage(checkpoint) == (with_length if has_sidecar else "it is truncated, or not a checkpoint")
    os.truncate(checkpoint, 0)
    assert damage(checkpoint) == "it is empty"
    checkpoint.unlink()
    assert damage(checkpoint) == "No such file or directory"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1, 2]",
        "null",
        "{}",
        '{"step": 1, "epoch": 0, "bytes": 5}',
        '{"step": "1", "epoch": 0, "bytes": 5, "sha256": ""}',
        '{"step": true, "epoch": 0, "bytes": 5, "sha256": ""}',
        '{"step": -1, "epoch": 0, "bytes": 5, "sha256": ""}',
        '{"step": 1, "epoch": 0, "bytes": 5, "sha256": 7}',
        '{"step": 1, "epoch": 0, "bytes": 5, "sha256": "", "more": 1}',
        "[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_a_sidecar_that_is_none_leaves_the_judgement_to_the_checksums(checkpoint: Path, content: str | bytes) -> None:
    sidecar_path(checkpoint).write_bytes(content if isinstance(content, bytes) else content.encode())

    assert read_sidecar(checkpoint) is None
    assert damage(checkpoint) == ""
    flip_bit(checkpoint, checkpoint.stat().st_size // 2)
    assert damage(checkpoint) == "it is damaged: its checksum is wrong"


def test_a_sidecar_that_cannot_be_written_leaves_the_earlier_one(checkpoint: Path) -> None:
    earlier = describe(checkpoint)
    write_sidecar(checkpoint, earlier)
    (checkpoint.parent / f".last.ckpt.json.{os.getpid()}.tmp").mkdir()  # where it would be written

    with pytest.raises(OSError, match="Is a directory"):
        write_sidecar(checkpoint, describe(checkpoint, step=1600))

    assert read_sidecar(checkpoint) == earlier
