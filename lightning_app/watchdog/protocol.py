"""Where a training process is: a few numbers in memory that its agent can read, whatever the process does."""

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass

STAGES = ("start", "setup", "training", "validation", "test", "prediction")
_LAYOUT = struct.Struct("<4q")  # progress, stage, epoch, step


@dataclass(frozen=True)
class Position:
    """How often the process has got ahead, and where it is; epochs and steps are counted from 0."""

    progress: int = 0
    stage: int = 0
    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        stage = STAGES[self.stage]
        if stage in ("start", "setup"):
            return {"start": "at the start", "setup": "while setting up"}[stage]
        return f"in {stage}, epoch {self.epoch + 1}, after step {self.step}"


class Page:
    """Written by the training, well below a microsecond a time, and read by its agent."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _new_file() if descriptor is None else descriptor
        self._memory = mmap.mmap(self.descriptor, _LAYOUT.size)
        self._progress = 0

    def advance(self, stage: str, epoch: int = 0, step: int = 0) -> None:
        self._progress += 1
        _LAYOUT.pack_into(self._memory, 0, self._progress, STAGES.index(stage), epoch, step)

    def read(self) -> Position:
        return Position(*_LAYOUT.unpack_from(self._memory, 0))


def _new_file() -> int:
    descriptor, path = tempfile.mkstemp(prefix="watchdog-")
    os.unlink(path)  # noqa: PTH108 by path, because only the descriptor is kept
    os.ftruncate(descriptor, _LAYOUT.size)
    return descriptor
