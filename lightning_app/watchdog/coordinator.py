"""Runs in the agent of rank 0: collects the state of all processes, and decides that a training has failed."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from lightning_app.watchdog import reports
from lightning_app.watchdog.agreement import StopAgreement
from lightning_app.watchdog.members import Member, Members
from lightning_app.watchdog.protocol import (
    MAX_MESSAGE_BYTES,
    Message,
    Position,
    ProcessId,
    Timeouts,
    read_messages,
    send,
)
from lightning_app.watchdog.reports import Report, reported_by_all, root_cause
from lightning_app.watchdog.save_agreement import SaveAgreement
from lightning_app.watchdog.stacks import stalled_ranks

_CHECK_SECONDS = 0.1
_STACK_SECONDS = 2.0
_NO_STACK = "It sent no stack trace: it is stopped, or runs library code that blocks all Python threads."


class Coordinator:
    """A server on one port; all agents connect to it, including the one that it runs in."""

    def __init__(self, timeouts: Timeouts, address: str, expected_processes: int, key: bytes) -> None:
        self._timeouts = timeouts
        self._address = address
        self._members = Members(key, address, expected_processes, timeouts.lost)
        self._stop = StopAgreement(self._members)
        self._save = SaveAgreement(self._members)
        self._started_at = time.monotonic()
        self._last_heartbeat_at = 0.0
        self._first_report_at: float | None = None
        self._verdict: Report | None = None
        self._stalled_before: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self, interface: str, port: int) -> int:
        """Returns the port; 0 asks for a free one.

        Raises:
            OSError: The port is in use.
        """
        server = await asyncio.start_server(self._serve, interface, port, limit=MAX_MESSAGE_BYTES)
        self._tasks += [asyncio.create_task(self._check_regularly()), asyncio.create_task(self._detect_stalls())]
        return int(server.sockets[0].getsockname()[1])

    @property
    def all_connected(self) -> bool:
        return self._members.all_connected

    @property
    def all_disconnected(self) -> bool:
        """Whether all processes have been connected and none is any more."""
        return self.all_connected and all(member.writer.is_closing() for member in self._members)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = read_messages(reader)
        member = await self._members.admit(messages, writer)
        if member is None:
            writer.close()
            return
        if self._verdict is not None:  # the others have received it already
            send(writer, {"verdict": self._verdict.to_message(), "is_own": False})
        self._stop.ask(member)
        self._save.ask(member)
        async for message in messages:
            self._handle_message(member, message)
        writer.close()
        if member.is_watched and self._verdict is None:
            report = Report(reports.KILLED, member.label, str(member.position), reports.KILLED_TEXT)
            self._record_report(member, report)

    def _handle_message(self, member: Member, message: Message) -> None:
        member.last_message_at = time.monotonic()
        if "position" in message:
            member.update_position(Position(*message["position"]))
        if "process" in message:
            self._members.name(member, message["process"])
        if member.process.is_first and "expected_processes" in message:
            self._members.expected = message["expected_processes"]
        if "stall_timeout" in message:
            self._timeouts = replace(self._timeouts, stall=message["stall_timeout"])
        if "stack" in message:
            member.stack = message["stack"]
        if "done" in message:
            member.is_done, member.advanced_at = True, time.monotonic()
        if "failure" in message:
            self._record_report(member, Report(process=member.label, where=str(member.position), **message["failure"]))
        self._stop.handle_message(member, message)
        if self._stop.cause is None:
            self._save.handle_message(member, message)
        else:
            self._save.withdraw()

    def _record_report(self, member: Member, report: Report) -> None:
        if member.report is None:
            member.report, member.reported_at = report, time.monotonic()
        self._first_report_at = self._first_report_at or time.monotonic()

    def _reports_in_order(self) -> list[Report]:
        members = sorted(self._members, key=lambda member: member.reported_at)
        return [member.report for member in members if member.report is not None]

    async def _check_regularly(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = time.monotonic()
            self._send_heartbeats(now)
            self._detect_lost(now)
            self._detect_missing(now)
            self._end_stop(now)
            self._decide(now)
            self._close_when_all_are_done()

    def _send_heartbeats(self, now: float) -> None:
        if now - self._last_heartbeat_at >= self._timeouts.heartbeat:
            self._last_heartbeat_at = now
            for member in self._members:
                send(member.writer, {"heartbeat": True})

    def _detect_lost(self, now: float) -> None:
        for member in self._members:
            if member.is_watched and now - member.last_message_at > self._timeouts.lost:
                self._record_report(member, self._lost_report(member))

    def _lost_report(self, member: Member) -> Report:
        text = (
            f"It sent nothing for {self._timeouts.lost:.0f} s: its node is down, or the network between it and "
            f"{ProcessId(0, 0, 0).label(self._address)} is."
        )
        return Report(reports.LOST, member.label, f"last seen {member.position}", text)

    def _detect_missing(self, now: float) -> None:
        missing = self._members.expected - len(self._members)
        if missing > 0 and now - self._started_at > self._timeouts.startup and self._verdict is None:
            present = ", ".join(member.label for member in self._members)
            text = (
                f"Of {self._members.expected} processes, only these started within {self._timeouts.startup:.0f} s: "
                f"{present}."
            )
            processes = f"{missing} process{'es' * (missing > 1)}"
            self._conclude(Report(reports.MISSING, processes, "at the start", text))

    def _decide(self, now: float) -> None:
        received = self._reports_in_order()
        if not received or self._first_report_at is None or self._verdict is not None:
            return
        best = root_cause([*received, *self._early_exits()])
        if best.kind in reports.STOPPED:
            best = self._stop.report_of_killed() or self._stop.report_of_first() or best
        waited = now - self._first_report_at
        expected = max(self._members.expected, len(self._members))
        if waited < self._seconds_to_wait(best) and len(received) < expected:
            return
        if best.kind == reports.USAGE_ERROR and reported_by_all(received, len(self._members)):
            best = replace(best, process="")
        self._conclude(best)

    def _early_exits(self) -> list[Report]:
        """Of processes that exited with status 0 while others need them."""
        early = [member for member in self._members if member.is_done]
        return [Report(reports.LEFT, member.label, str(member.position), reports.LEFT_TEXT) for member in early]

    def _seconds_to_wait(self, best: Report) -> float:
        """For a report that explains the failure better than the best one so far."""
        if self._stop.cause is not None and best.kind != reports.RAISED:  # a launcher soon kills what has a signal
            has_ended = self._stop.report_of_first() is not None or best.kind not in reports.STOPPED
            return self._timeouts.shutdown if has_ended else math.inf  # the stop has a time of its own
        seconds = {
            reports.COLLECTIVE: self._timeouts.collective,
            reports.LEFT: self._timeouts.grace,
            reports.USAGE_ERROR: self._timeouts.lost,  # all processes are likely to report the same
        }
        return seconds.get(best.kind, 0.0)  # no later report could explain the other kinds better

    def _end_stop(self, now: float) -> None:
        report = self._stop.report_without_boundary(now, self._timeouts)
        if report is not None and self._verdict is None:
            self._conclude(self._stop.report_of_killed() or report)

    def _conclude(self, report: Report) -> None:
        if self._stop.cause is not None:  # whatever happens after a signal, the exit status is that of the signal
            report = replace(report, signal=self._stop.cause.signal)
        self._verdict = report
        for member in self._members:
            is_own = member.report is not None and member.label == report.process
            send(member.writer, {"verdict": report.to_message(), "is_own": is_own})

    def _close_when_all_are_done(self) -> None:
        members = self._members
        if self._verdict is None and self.all_connected and all(member.is_done for member in members):
            for member in members:
                send(member.writer, {"closed": True})

    async def _detect_stalls(self) -> None:
        while True:
            await asyncio.sleep(self._timeouts.heartbeat)
            if self._idle_seconds() >= self._timeouts.stall and self._verdict is None:
                await self._check_stacks()
            else:
                self._stalled_before = []

    def _idle_seconds(self) -> float:
        """Seconds since any process made progress; 0 until all have started, and after a failure."""
        members = self._members
        if not self.all_connected or any(member.report for member in members):
            return 0.0
        return time.monotonic() - max(member.advanced_at for member in members)

    async def _check_stacks(self) -> None:
        members = list(self._members)
        await self._request_stacks([member for member in members if not member.is_done])
        stacks = [None if member.is_done else member.stack or "" for member in members]
        progress = [member.position.progress for member in members]
        idle = self._idle_seconds()
        stalled = stalled_ranks(stacks, progress, idle, self._timeouts.stall, self._timeouts.slow_io)
        # twice in a row, because one sample may catch a process between two operations
        if stalled and stalled == self._stalled_before:
            for index in stalled:
                report = self._stall_report(members[index], all_wait=len(stalled) == len(members))
                self._record_report(members[index], report)
        self._stalled_before = stalled

    async def _request_stacks(self, members: Sequence[Member]) -> None:
        for member in members:
            member.stack = None
            send(member.writer, {"stack_request": True})
        deadline = time.monotonic() + _STACK_SECONDS
        while any(member.stack is None for member in members) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def _stall_report(self, member: Member, *, all_wait: bool) -> Report:
        if all_wait:
            text = "All processes wait for one another: they have called different collective operations."
        else:
            text = (
                f"It made no progress for {self._idle_seconds():.0f} s while others waited for it. If a step may take "
                "that long, raise --stall_timeout."
            )
        stack = f"Its stack (most recent call last):\n{member.stack}" if member.stack else _NO_STACK
        return Report(reports.STALLED, member.label, str(member.position), f"{text}\n{stack}")
