"""The processes that have joined the coordinator, and who may join: each place of the training once, with the key."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from lightning_app.watchdog.keys import agent_proof, coordinator_proof, is_proof, random_key
from lightning_app.watchdog.protocol import Message, Position, ProcessId, send
from lightning_app.watchdog.reports import Report
from lightning_app.watchdog.stop import Boundary


@dataclass(frozen=True)
class StopReply:
    """What a process says when training is to stop: the last boundary that it has passed, None outside of training."""

    passed: Boundary | None
    line: str


@dataclass
class Member:
    """The last known state of a process."""

    process: ProcessId
    address: str
    writer: asyncio.StreamWriter
    last_message_at: float = field(default_factory=time.monotonic)
    position: Position = field(default_factory=Position)
    advanced_at: float = field(default_factory=time.monotonic)
    is_done: bool = False
    report: Report | None = None
    reported_at: float = 0.0
    stack: str | None = None
    stop_reply: StopReply | None = None
    is_stopping: bool = False  # it has reached the boundary at which all stop

    @property
    def label(self) -> str:
        return self.process.label(self.address)

    @property
    def is_watched(self) -> bool:
        return not self.is_done and self.report is None

    def update_position(self, position: Position) -> None:
        if position != self.position:
            self.position, self.advanced_at = position, time.monotonic()


class Members:
    """All processes that have joined, by their places.

    Args:
        key: Of the training; see ``lightning_app.watchdog.keys``.
        address: The coordinator's, which the first process shares.
        expected: Number of processes of the training, as far as is known.
        seconds: Within which a process must have proved that it has the key.
    """

    def __init__(self, key: bytes, address: str, expected: int, seconds: float) -> None:
        self._key, self._address, self._seconds = key, address, seconds
        self.expected = expected
        self._by_place: dict[tuple[int, int], Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_place.values())

    def __len__(self) -> int:
        return len(self._by_place)

    @property
    def all_connected(self) -> bool:
        return len(self) >= self.expected

    @property
    def first(self) -> Member | None:
        return next((member for member in self if member.process.is_first), None)

    async def admit(self, messages: AsyncIterator[Message], writer: asyncio.StreamWriter) -> Member | None:
        """The new member; None for a visitor that isn't a process of this training."""
        nonce = random_key()
        send(writer, {"nonce": nonce})
        try:
            hello = await asyncio.wait_for(anext(messages), self._seconds)
        except (asyncio.TimeoutError, StopAsyncIteration):
            return None
        process = self._proven(hello, nonce)
        if process is None or not self._is_in_world(process):
            return None  # the number of processes may not be known yet: an agent of this training tries again
        if self._is_taken(process):
            send(writer, {"refused": f"{process.label()} has joined already; expected each rank once"})
            return None
        address = self._address if process.is_first else writer.get_extra_info("peername")[0]
        self._by_place[process.key] = Member(process, address, writer)
        send(writer, {"proof": coordinator_proof(self._key, hello["nonce"], nonce)})
        return self._by_place[process.key]

    def name(self, member: Member, process: object) -> None:
        """A member knows its rank now, which it may not have known when it joined."""
        named = ProcessId.from_message(process)
        others = [other.process.rank for other in self if other is not member]
        if named is not None and named.key == member.process.key and named.rank not in others:
            member.process = named

    def _proven(self, hello: Message, nonce: str) -> ProcessId | None:
        process, own_nonce = ProcessId.from_message(hello.get("process")), hello.get("nonce")
        if process is None or not isinstance(own_nonce, str):
            return None
        expected = agent_proof(self._key, nonce, own_nonce, process.to_message())
        return process if is_proof(hello.get("proof"), expected) else None

    def _is_in_world(self, process: ProcessId) -> bool:
        numbers = (process.node, process.local_rank, process.rank or 0)
        is_new = process.key not in self._by_place
        return all(0 <= number < self.expected for number in numbers) and not (is_new and self.all_connected)

    def _is_taken(self, process: ProcessId) -> bool:
        ranks = [member.process.rank for member in self if member.process.rank is not None]
        return process.key in self._by_place or process.rank in ranks
