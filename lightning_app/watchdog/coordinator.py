"""Rank 0's view of all processes: hears how they are, and decides that a training has failed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lightning_app.watchdog import reports
from lightning_app.watchdog.protocol import LONGEST, Message, Position, ProcessId, Timeouts, read_messages, send
from lightning_app.watchdog.reports import Report, reported_by_all, root_cause
from lightning_app.watchdog.stacks import stalled_ranks

_TICK = 0.1
_SECONDS_FOR_STACKS = 2.0
_NO_STACK = "It doesn't say where it is: it is stopped, or in a library that lets no other thread work."


@dataclass
class Member:
    """A process as its agent tells of it."""

    place: ProcessId
    address: str
    writer: asyncio.StreamWriter
    heard: float = field(default_factory=time.monotonic)
    position: Position = field(default_factory=Position)
    advanced: float = field(default_factory=time.monotonic)
    is_done: bool = False
    report: Report | None = None
    reported: float = 0.0
    stack: str | None = None

    @property
    def name(self) -> str:
        return self.place.named(self.address)

    def is_at(self, position: Position) -> None:
        if position != self.position:
            self.position, self.advanced = position, time.monotonic()


class Coordinator:
    """Listens at one port; all agents speak to it, that of its own process as well."""

    def __init__(self, limits: Timeouts, address: str, expected: int, job: str) -> None:
        self.limits = limits
        self.expected = expected
        self._address = address
        self._job = job
        self._members: dict[tuple[int, int], Member] = {}
        self._started = time.monotonic()
        self._last_beat = 0.0
        self._first_report: float | None = None
        self._verdict: Report | None = None
        self._suspected: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self, interface: str, port: int) -> int:
        """Returns the port; 0 asks for a free one.

        Raises:
            OSError: The port is in use.
        """
        server = await asyncio.start_server(self._serve, interface, port, limit=LONGEST)
        self._tasks += [asyncio.create_task(self._tick()), asyncio.create_task(self._look_for_stalls())]
        return int(server.sockets[0].getsockname()[1])

    @property
    def everybody_has_left(self) -> bool:
        return self.everybody_has_come and all(member.writer.is_closing() for member in self._members.values())

    @property
    def everybody_has_come(self) -> bool:
        return len(self._members) >= self.expected

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        member: Member | None = None
        async for message in read_messages(reader):
            if member is None:
                if message.get("job") != self._job or "place" not in message:
                    break  # of another training
                member = self._welcomed(ProcessId(**message["place"]), writer)
            self._hear(member, message)
        writer.close()
        if member is not None and not member.is_done and member.report is None and self._verdict is None:
            self._note(member, Report(reports.KILLED, member.name, str(member.position), reports.KILLED_TEXT))

    def _welcomed(self, place: ProcessId, writer: asyncio.StreamWriter) -> Member:
        address = self._address if place.is_first else writer.get_extra_info("peername")[0]
        self._members[place.key] = Member(place, address, writer)
        send(writer, {"beat": True})
        if self._verdict is not None:  # which the others have heard already
            send(writer, {"verdict": self._verdict.as_message(), "yours": False})
        return self._members[place.key]

    def _hear(self, member: Member, message: Message) -> None:
        member.heard = time.monotonic()
        if "position" in message:
            member.is_at(Position(*message["position"]))
        if "place" in message:
            member.place = ProcessId(**message["place"])
        if member.place.is_first and "expected" in message:
            self.expected = message["expected"]
        if "stall" in message:
            self.limits = replace(self.limits, stall=message["stall"])
        if "stack" in message:
            member.stack = message["stack"]
        if "done" in message:
            member.is_done, member.advanced = True, time.monotonic()
        if "failed" in message:
            failed = message["failed"]
            self._note(member, Report(failed["kind"], member.name, str(member.position), failed["text"]))

    def _note(self, member: Member, report: Report) -> None:
        if member.report is None:
            member.report, member.reported = report, time.monotonic()
        self._first_report = self._first_report or time.monotonic()

    def _in_order_of_failure(self) -> list[Member]:
        return sorted(self._members.values(), key=lambda member: member.reported)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            self._beat(now)
            for member in self._members.values():
                if self._is_followed(member) and now - member.heard > self.limits.lost:
                    self._note(member, self._lost(member))
            self._look_for_missing(now)
            self._decide(now)
            self._close_when_all_are_done()

    def _beat(self, now: float) -> None:
        if now - self._last_beat >= self.limits.beat:
            self._last_beat = now
            for member in self._members.values():
                send(member.writer, {"beat": True})

    def _is_followed(self, member: Member) -> bool:
        return not member.is_done and member.report is None

    def _lost(self, member: Member) -> Report:
        text = (
            f"Nothing was heard of it for {self.limits.lost:.0f} s: its node is gone, or the network between it and "
            f"{ProcessId(0, 0, 0).named(self._address)}."
        )
        return Report(reports.LOST, member.name, f"last heard of {member.position}", text)

    def _look_for_missing(self, now: float) -> None:
        missing = self.expected - len(self._members)
        if missing > 0 and now - self._started > self.limits.start and self._verdict is None:
            there = ", ".join(member.name for member in self._members.values())
            text = f"Of {self.expected} processes these came up within {self.limits.start:.0f} s: {there}."
            who = f"{missing} process{'es' * (missing > 1)}"
            self._conclude(Report(reports.MISSING, who, "at the start", text))

    def _decide(self, now: float) -> None:
        found = [member.report for member in self._in_order_of_failure() if member.report is not None]
        if not found or self._first_report is None or self._verdict is not None:
            return
        best = root_cause([*found, *self._left_early()])
        waited = now - self._first_report
        if waited < self._seconds_for_others(best) and len(found) < max(self.expected, len(self._members)):
            return
        if best.kind == reports.USAGE_ERROR and reported_by_all(found, len(self._members)):
            best = Report(best.kind, "", best.where, best.text)
        self._conclude(best)

    def _left_early(self) -> list[Report]:
        """Those that ended as if all were well, while others need them."""
        early = [member for member in self._members.values() if member.is_done]
        return [Report(reports.LEFT, member.name, str(member.position), reports.LEFT_TEXT) for member in early]

    def _seconds_for_others(self, best: Report) -> float:
        slow = {
            reports.COLLECTIVE: self.limits.collective,
            reports.LEFT: self.limits.grace,
            reports.USAGE_ERROR: self.limits.lost,  # which all processes are about to say
        }
        return slow.get(best.kind, 0.0)  # nothing that is told later could be the cause of it

    def _conclude(self, report: Report) -> None:
        self._verdict = report
        for member in self._members.values():
            yours = member.report is not None and member.name == report.who
            send(member.writer, {"verdict": report.as_message(), "yours": yours})

    def _close_when_all_are_done(self) -> None:
        members = self._members.values()
        if self._verdict is None and len(members) >= self.expected and all(member.is_done for member in members):
            for member in members:
                send(member.writer, {"closed": True})

    async def _look_for_stalls(self) -> None:
        while True:
            await asyncio.sleep(self.limits.beat)
            if self._idle() >= self.limits.stall and self._verdict is None:
                await self._examine()
            else:
                self._suspected = []

    def _idle(self) -> float:
        """Seconds for which no process has got ahead; none as long as not all have come up, or one has failed."""
        members = self._members.values()
        if len(members) < self.expected or any(member.report for member in members):
            return 0.0
        return time.monotonic() - max(member.advanced for member in members)

    async def _examine(self) -> None:
        members = list(self._members.values())
        await self._ask_for_stacks([member for member in members if not member.is_done])
        stacks = [None if member.is_done else member.stack or "" for member in members]
        progress = [member.position.progress for member in members]
        found = stalled_ranks(stacks, progress, self._idle(), self.limits.stall, self.limits.patient)
        # twice, because one look may catch a process on its way from one thing to the next
        if found and found == self._suspected:
            for number in found:
                self._note(members[number], self._stalled(members[number], len(found) == len(members)))
        self._suspected = found

    async def _ask_for_stacks(self, members: Sequence[Member]) -> None:
        for member in members:
            member.stack = None
            send(member.writer, {"stack?": True})
        deadline = time.monotonic() + _SECONDS_FOR_STACKS
        while any(member.stack is None for member in members) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def _stalled(self, member: Member, all_wait: bool) -> Report:
        if all_wait:
            text = "All processes wait for one another: they have called different collective operations."
        else:
            text = (
                f"It hasn't got ahead for {self._idle():.0f} s while others wait for it. Where a step may take that "
                "long, raise --stall_timeout."
            )
        where = f"Where it is (most recent call last):\n{member.stack}" if member.stack else _NO_STACK
        return Report(reports.STALLED, member.name, str(member.position), f"{text}\n{where}")
