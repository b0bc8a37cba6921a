"""A failure of one process, and what is said of it in all logs."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_app.watchdog.protocol import truncate

RAISED, EXITED, USAGE_ERROR, INTERRUPTED = "raised", "exited", "used wrongly", "interrupted"
KILLED, STALLED, LOST, MISSING = "killed", "stalled", "lost", "missing"
LEFT, COLLECTIVE = "left", "collective"
# which of several reports tells the cause: the communication fails because somebody has failed before
_BY_RANK = (RAISED, EXITED, USAGE_ERROR, INTERRUPTED, STALLED, KILLED, LOST, MISSING, LEFT, COLLECTIVE)
NOT_FILED = (USAGE_ERROR, INTERRUPTED)  # mistakes of the user leave nothing behind

KILLED_TEXT = (
    "It ended without a word, as a process does that gets SIGKILL: from the system when memory runs out, from an "
    "administrator or a scheduler, or with its node."
)


@dataclass(frozen=True)
class Report:
    """What happened to a process.

    Args:
        kind: One of the kinds above.
        who: The process, as in ``rank 1 (node 0, 10.0.0.4)``.
        where: As in ``in training, epoch 1, after step 17``.
        text: Traceback or message.
    """

    kind: str
    who: str
    where: str
    text: str = ""

    @property
    def order(self) -> int:
        return _BY_RANK.index(self.kind)

    def as_message(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "Report":
        return cls(**message)

    def __str__(self) -> str:
        """For the logs, the traceback last."""
        text = truncate(self.text.rstrip())
        if self.kind == USAGE_ERROR:
            return f"error: {self.who}: {text}" if self.who else f"error: {text}"
        if self.kind == INTERRUPTED:
            return f"Interrupted: {self.who}, {self.where}; all processes are ended."
        return f"\nFAILED: {self.who} {_DESCRIPTIONS[self.kind]}, {self.where}. All processes are ended.\n{text}"


LEFT_TEXT = "It ended with exit status 0, as if all were done, while others were still at work and needed it."

_DESCRIPTIONS = {
    RAISED: "raised an error",
    EXITED: "ended",
    LEFT: "left",
    KILLED: "was killed",
    STALLED: "kept the others waiting",
    LOST: "can't be reached",
    MISSING: "never came up",
    COLLECTIVE: "lost touch with the others",
}


def root_cause(reports: Sequence[Report]) -> Report:
    """The report that explains the others."""
    return min(reports, key=lambda report: report.order)


def save_report(report: Report, folder: Path, node: int) -> None:
    """Appends it to the run folder: what failed before a restart isn't lost by what fails after it."""
    if report.kind in NOT_FILED:
        return
    name = "failures.txt" if node == 0 else f"failures-node{node}.txt"  # files of one name would end the upload
    with contextlib.suppress(OSError):  # it is told in the log as well
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a") as file:
            file.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}{report}\n\n")


def exit_status(kind: str) -> int:
    """With which a process ends that did nothing wrong itself."""
    return 2 if kind == USAGE_ERROR else 1


def reported_by_all(reports: Sequence[Report], processes: int) -> bool:
    """Whether all say the same, as after a mistake in the command, which all processes have been given."""
    return len(reports) == processes and len({(report.kind, report.text) for report in reports}) == 1
