"""What a training process, its agent and the coordinator share: messages, progress, identities and timeouts."""

import asyncio
import json
import mmap
import os
import struct
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAX_MESSAGE_BYTES = 2**20
MAX_TEXT_CHARACTERS = 20_000  # of a traceback; the end of a longer one is kept

Message = dict[str, Any]


def encode_message(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Never waits: a peer that doesn't read stops sending heartbeats as well, and is detected by that."""
    if not writer.is_closing():
        writer.write(encode_message(message))


async def read_messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Yields messages until the connection is closed or something arrives that isn't a message."""
    while True:
        try:
            text = await reader.readline()
        except (OSError, ValueError):
            return
        if not text.endswith(b"\n"):
            return
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(message, dict):
            return
        yield message


def truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else "...\n" + text[-MAX_TEXT_CHARACTERS:]


PROGRESS_FOLDER = "LIGHTNING_APP_PROGRESS_FOLDER"  # where a rehearsal reads the positions of a job's processes
STAGES = ("start", "setup", "training", "validation", "test", "prediction")
_LAYOUT = struct.Struct("<4q")  # progress, stage, epoch, step


@dataclass(frozen=True)
class Position:
    """Where a training process is.

    Args:
        progress: How many times it has reported progress.
        stage: Index in ``STAGES``.
        epoch: Counted from 0.
        step: Optimizer steps done.
    """

    progress: int = 0
    stage: int = 0
    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        stage = STAGES[self.stage]
        if stage in ("start", "setup"):
            return {"start": "at the start", "setup": "during setup"}[stage]
        return f"in {stage}, epoch {self.epoch + 1}, after step {self.step}"


class SharedProgress:
    """Memory in which the training writes its position, in less than a microsecond, and its agent reads it."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _create_file() if descriptor is None else descriptor
        self._memory = mmap.mmap(self.descriptor, _LAYOUT.size)
        self._progress = 0

    def advance(self, stage: str, epoch: int = 0, step: int = 0) -> None:
        self._progress += 1
        _LAYOUT.pack_into(self._memory, 0, self._progress, STAGES.index(stage), epoch, step)

    def read(self) -> Position:
        return Position(*_LAYOUT.unpack_from(self._memory, 0))


def _create_file() -> int:
    folder = os.environ.get(PROGRESS_FOLDER)
    descriptor, path = tempfile.mkstemp(prefix="watchdog-", dir=folder)
    os.ftruncate(descriptor, _LAYOUT.size)
    if not folder:
        os.unlink(path)  # noqa: PTH108 only the descriptor is needed from here on
    return descriptor


def read_progress(file: Path) -> Position:
    """The position in a file of ``PROGRESS_FOLDER``; the start if it has none yet."""
    content = file.read_bytes()
    return Position(*_LAYOUT.unpack(content)) if len(content) == _LAYOUT.size else Position()


@dataclass(frozen=True)
class ProcessId:
    """A training process: its node, its local rank, and its global rank once that is known."""

    node: int
    local_rank: int
    rank: int | None = None

    @property
    def is_first(self) -> bool:
        return self.node == 0 and self.local_rank == 0

    @property
    def key(self) -> tuple[int, int]:
        """Identifies the process even before its rank is known."""
        return self.node, self.local_rank

    def label(self, address: str = "") -> str:
        """For messages, such as ``rank 1 (node 0, 10.0.0.4)``."""
        rank = f"rank {self.rank}" if self.rank is not None else f"process {self.local_rank}"
        return f"{rank} (node {self.node}, {address})" if address else f"{rank} (node {self.node})"

    def to_message(self) -> Message:
        return asdict(self)

    @classmethod
    def from_message(cls, message: object) -> "ProcessId | None":
        """None for what can't be a process."""
        if not isinstance(message, dict) or message.keys() != {"node", "local_rank", "rank"}:
            return None
        node, local_rank, rank = message["node"], message["local_rank"], message["rank"]
        are_counts = all(type(number) is int and number >= 0 for number in (node, local_rank))
        return cls(node, local_rank, rank) if are_counts and (rank is None or type(rank) is int) else None


@dataclass(frozen=True)
class Timeouts:
    """In seconds. The defaults stop a broken job within half a minute.

    Args:
        heartbeat: Interval between two heartbeats.
        lost: Silence after which a process counts as lost.
        grace: Wait for a better explanation after a process has exited early with status 0.
        collective: Wait for a better explanation after a communication error, whose cause is always elsewhere.
        stall: How long one process may keep the others waiting.
        slow_io: The same while that process starts, or prepares, reads or saves data.
        startup: Until all processes must have started.
        shutdown: Until a process must have ended after it was asked to stop.
        boundary: After a signal, until training must have come to the end of a step, beyond ``stall``.
        save: After a signal, until the last checkpoint must be written and the process ended.
    """

    heartbeat: float = 1.0
    lost: float = 10.0
    grace: float = 1.5
    collective: float = 12.0
    stall: float = 20.0
    slow_io: float = 1800.0
    startup: float = 300.0
    shutdown: float = 5.0
    boundary: float = 5.0
    save: float = 300.0


@dataclass(frozen=True)
class AgentOptions:
    """What an agent is given when it starts.

    Args:
        process: The training process that it watches.
        parent: The operating system's id of that process.
        address: Host of the coordinator.
        port: Port of the coordinator; 0 for a free one.
        nodes: Number of nodes with processes of the training.
        expected_processes: Number of processes of the training.
        folder: Run folder.
        training_socket: File descriptor of the socket to the training process.
        progress_file: File descriptor of its ``SharedProgress``.
        timeouts: See there.
    """

    process: ProcessId
    parent: int
    address: str
    port: int
    nodes: int
    expected_processes: int
    folder: str
    training_socket: int
    progress_file: int
    timeouts: Timeouts

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AgentOptions":
        content = json.loads(text)
        nested = {"process": ProcessId(**content["process"]), "timeouts": Timeouts(**content["timeouts"])}
        return cls(**{**content, **nested})
