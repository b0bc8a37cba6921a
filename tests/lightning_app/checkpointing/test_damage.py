"""What the checksums in a checkpoint find of damage."""

import os
from pathlib import Path

import pytest
import torch

from lightning_app.checkpointing.damage import damage


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(5000.0)}}, path)
    return path


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    later = path.stat().st_mtime_ns + 10**9  # file systems count in milliseconds, and a test may take less than one
    path.write_bytes(content)
    os.utime(path, ns=(later, later))


def test_a_single_bit_is_noticed(checkpoint: Path) -> None:
    assert damage(checkpoint) == ""
    flip_bit(checkpoint, checkpoint.stat().st_size // 2)

    assert damage(checkpoint) == "it is damaged: its checksum is wrong"


def test_a_file_that_was_cut_off_is_noticed(checkpoint: Path) -> None:
    os.truncate(checkpoint, 1000)
    assert damage(checkpoint) == "it is truncated, or not a checkpoint"
    os.truncate(checkpoint, 0)
    assert damage(checkpoint) == "it is empty"
    checkpoint.unlink()
    assert damage(checkpoint) == "No such file or directory"
