"""The coordinator's part of a stop: asks all processes where they are, and decides where they end together."""

import time

from lightning_app.watchdog import reports
from lightning_app.watchdog.members import Member, Members, StopReply
from lightning_app.watchdog.protocol import Message, Timeouts, send
from lightning_app.watchdog.reports import Report
from lightning_app.watchdog.stop import StopCause


class StopAgreement:
    """One process has received a signal, or lost its launcher; all processes stop at the same boundary.

    Each holds at the next boundary and replies with the last that it has passed. They end at the first boundary after
    the last that any of them has passed, which costs no collective operation and nothing before there is a signal.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self.cause: StopCause | None = None
        self._requested_at = 0.0
        self._reached_at: float | None = None
        self._is_agreed = self._is_urgent = False

    def handle_message(self, member: Member, message: Message) -> None:
        if "stop" in message:
            self._request(StopCause.from_message(message["stop"]), bool(message.get("now")))
        if "stop_reply" in message:
            passed = message["stop_reply"]
            member.stop_reply = StopReply(None if passed is None else tuple(passed), message["line"])
            self._agree()
        if "stopping" in message:
            member.is_stopping = True

    def ask(self, member: Member) -> None:
        """For a process that joins while all others stop."""
        if self.cause is not None:
            send(member.writer, {"stop": self.cause.to_message()})

    def report_of_first(self) -> Report | None:
        """Of the process that writes the checkpoint and knows what is saved, once it has ended."""
        first = self._members.first
        report = None if first is None else first.report
        return report if report is not None and report.kind in reports.STOPPED else None

    def report_of_killed(self) -> Report | None:
        """Of a process that was killed before it could say where it is: the launcher ends the others because of that.

        It may do so before the report of the agent has arrived.
        """
        killed = [member.report for member in self._members if member.stop_reply is None and member.report is not None]
        return next((report for report in killed if report.kind == reports.KILLED), None)

    def report_without_boundary(self, now: float, timeouts: Timeouts) -> Report | None:
        """What ends all processes at once: a second Ctrl-C, no training to save, or the time is over."""
        if self.cause is None:
            return None
        waited, left = now - self._requested_at, self.seconds_left(timeouts)
        if self._is_urgent or left <= 0:
            return self._report(f"{self._line()} Nothing more was saved." if self._is_urgent else self._late(timeouts))
        may_end = any(self._is_outside(member) for member in self._members) or waited > timeouts.lost
        has_all = self._members.first is not None and all(member.stop_reply is not None for member in self._members)
        if not self._is_agreed and may_end and (has_all or waited > timeouts.heartbeat):
            return self._report(self._line())
        return None

    def seconds_left(self, timeouts: Timeouts) -> float:
        """Until all are ended."""
        now = time.monotonic()
        working = [member for member in self._members if member.is_watched and not member.is_stopping]
        if working:
            return self._requested_at + timeouts.stall + timeouts.boundary - now
        self._reached_at = self._reached_at or now
        return self._reached_at + timeouts.save - now

    @staticmethod
    def _is_outside(member: Member) -> bool:
        """Of the training loop: there is nothing to save."""
        return member.is_done or (member.stop_reply is not None and member.stop_reply.passed is None)

    def _request(self, cause: StopCause, is_urgent: bool) -> None:
        self._is_urgent = self._is_urgent or is_urgent
        if self.cause is None:
            self.cause, self._requested_at = cause, time.monotonic()
            for member in self._members:
                self.ask(member)

    def _agree(self) -> None:
        replies = [member.stop_reply for member in self._members]
        passed = [reply.passed for reply in replies if reply is not None and reply.passed is not None]
        if len(passed) == len(replies) and self._members.all_connected:
            self._is_agreed = True
            for member in self._members:
                send(member.writer, {"stop_after": max(passed)})

    def _line(self) -> str:
        assert self.cause is not None
        first = self._members.first
        reply = None if first is None else first.stop_reply
        return f"Stopped {self.cause.text}." if reply is None else reply.line

    def _late(self, timeouts: Timeouts) -> str:
        late = ", ".join(member.label for member in self._members if member.is_watched) or "a process"
        return f"{self._line()} {late[0].upper()}{late[1:]} didn't come to the end of a step in time."

    def _report(self, text: str) -> Report:
        assert self.cause is not None
        return Report(self.cause.kind, "", "", text, self.cause.signal)
