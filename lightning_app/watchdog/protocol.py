"""What a training process, its agent and the coordinator share: messages, progress, identities and timeouts."""

import asyncio
import json
import mmap
import os
import struct
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

LONGEST = 2**20  # bytes of a line
MAX_TEXT = 20_000  # characters of a traceback; of a longer one the end is kept

Message = dict[str, Any]


def encode_message(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Never waits: whoever doesn't read is found out by his silence."""
    if not writer.is_closing():
        writer.write(encode_message(message))


async def read_messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """The messages until the other side is gone or says something else than a message."""
    while True:
        try:
            text = await reader.readline()
        except (OSError, ValueError):
            return
        if not text.endswith(b"\n"):
            return
        try:
            message = json.loads(text)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        yield message


def truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT else "...\n" + text[-MAX_TEXT:]


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


class SharedProgress:
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


@dataclass(frozen=True)
class ProcessId:
    """Node and number on it; the rank among all, where that is known by now."""

    node: int
    local_rank: int
    rank: int | None = None

    @property
    def is_first(self) -> bool:
        return self.node == 0 and self.local_rank == 0

    @property
    def key(self) -> tuple[int, int]:
        return self.node, self.local_rank

    def named(self, address: str) -> str:
        rank = f"rank {self.rank}" if self.rank is not None else f"process {self.local_rank}"
        return f"{rank} (node {self.node}, {address})" if address else f"{rank} (node {self.node})"

    def as_message(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Timeouts:
    """Defaults that end a broken job within half a minute.

    Args:
        beat: Between two signs of life.
        lost: Without a sign of life, after which a process counts as lost.
        grace: After somebody has left early, for a better reason to be told.
        collective: The same after an error of the communication, which always has a cause elsewhere.
        stall: For which one process may keep the others waiting.
        patient: The same while it starts, or prepares, reads or saves data.
        start: For all processes to come up.
        end: For a process to end by itself.
    """

    beat: float = 1.0
    lost: float = 10.0
    grace: float = 1.5
    collective: float = 12.0
    stall: float = 20.0
    patient: float = 1800.0
    start: float = 300.0
    end: float = 5.0


@dataclass(frozen=True)
class AgentOptions:
    """What an agent is told when it starts; the numbers are file descriptors.

    Args:
        place: The process that it stands beside.
        parent: Its process id.
        address: Of the coordinator.
        port: At which it listens; 0 for a free one.
        nodes: On which there are processes of the training.
        expected: Processes of the training.
        job: The same for all processes of a training.
        folder: Of the run.
        training: Socket to the training process.
        page: Its position.
    """

    place: ProcessId
    parent: int
    address: str
    port: int
    nodes: int
    expected: int
    job: str
    folder: str
    training: int
    page: int

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "AgentOptions":
        return cls(**{**content, "place": ProcessId(**content["place"])})
