"""The coordinator's part of a checkpoint on request: asks all processes where they are, and decides where they save."""

from lightning_app.watchdog.members import Member, Members
from lightning_app.watchdog.protocol import Message, send
from lightning_app.watchdog.stop import Boundary


class SaveAgreement:
    """All processes save at the same boundary and go on, as ``StopAgreement`` lets them end at one.

    Requests that come while the processes say where they are belong to the same save.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._reason = ""  # empty while nobody is asked
        self._number = 0
        self._replies: dict[tuple[int, int], Boundary | None] = {}

    def handle_message(self, member: Member, message: Message) -> None:
        if "save" in message and not self._reason:
            self._reason, self._number, self._replies = message["save"], self._number + 1, {}
            for other in self._members:
                self.ask(other)
        if "save_reply" in message and message["number"] == self._number and self._reason:
            passed = message["save_reply"]
            self._replies[member.process.key] = None if passed is None else tuple(passed)
            self._agree()

    def ask(self, member: Member) -> None:
        """Also a process that joins while the others wait."""
        if self._reason:
            send(member.writer, {"save": self._reason, "number": self._number})

    def withdraw(self) -> None:
        """All stop, and save then."""
        self._reason = ""

    def _agree(self) -> None:
        if len(self._replies) < len(self._members) or not self._members.all_connected:
            return
        passed = [reply for reply in self._replies.values() if reply is not None]
        last = max(passed) if len(passed) == len(self._replies) else None  # training is over in one of them
        for member in self._members:
            send(member.writer, {"save_after": last, "number": self._number})
        self._reason = ""
