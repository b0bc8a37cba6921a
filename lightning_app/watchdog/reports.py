"""Failure reports: what happened to a process, as it is logged and saved."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_app.watchdog.protocol import truncate

RAISED, EXITED, USAGE_ERROR, INTERRUPTED = "raised", "exited", "usage error", "interrupted"
KILLED, STALLED, LOST, MISSING = "killed", "stalled", "lost", "missing"
LEFT, COLLECTIVE = "left", "collective"
ABANDONED = "abandoned"  # what has started the process is gone
STOPPED = (INTERRUPTED, ABANDONED)  # on purpose: training ends at a boundary between two steps, and is saved there
# The most likely root cause first: communication errors are last, because another failure has caused them.
_BY_PRIORITY = (RAISED, EXITED, USAGE_ERROR, *STOPPED, STALLED, KILLED, LOST, MISSING, LEFT, COLLECTIVE)
NOT_SAVED = (USAGE_ERROR, INTERRUPTED)  # the user sees these at once, and they are no failure of the training

KILLED_TEXT = (
    "It ended without an error message, as after SIGKILL: the system ran out of memory, an administrator or a "
    "scheduler killed it, or its node went down."
)
LEFT_TEXT = "It exited with status 0, as if all work was done, while other processes were still working and needed it."

_DESCRIPTIONS = {
    RAISED: "raised an error",
    EXITED: "exited",
    LEFT: "exited early",
    KILLED: "was killed",
    STALLED: "kept the others waiting",
    LOST: "can't be reached",
    MISSING: "never started",
    COLLECTIVE: "lost its connection to the others",
}


@dataclass(frozen=True)
class Report:
    """What happened to a process.

    Args:
        kind: One of the kinds above.
        process: Such as ``rank 1 (node 0, 10.0.0.4)``; empty if all processes report the same.
        where: Such as ``in training, epoch 1, after step 17``.
        text: Traceback or message.
        signal: The number of the signal that stopped the training; 0 without one.
    """

    kind: str
    process: str
    where: str
    text: str = ""
    signal: int = 0

    @property
    def priority(self) -> int:
        return _BY_PRIORITY.index(self.kind)

    def to_message(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Report":
        return cls(**message)

    def __str__(self) -> str:
        """For the logs; the traceback comes last."""
        text = truncate(self.text.rstrip())
        if self.kind == USAGE_ERROR:
            return f"error: {self.process}: {text}" if self.process else f"error: {text}"
        if self.kind in STOPPED:
            return text
        return f"\nFAILED: {self.process} {_DESCRIPTIONS[self.kind]}, {self.where}. All processes were stopped.\n{text}"


def root_cause(reports: Sequence[Report]) -> Report:
    """The report that explains the others."""
    return min(reports, key=lambda report: report.priority)


def save_report(report: Report, folder: Path, node: int) -> None:
    """Appends to the file in the run folder: a failure after a restart must not replace the one before it."""
    if report.kind in NOT_SAVED:
        return
    # Azure ML refuses the upload of a second file with the same name
    name = "failures.txt" if node == 0 else f"failures-node{node}.txt"
    with contextlib.suppress(OSError):  # the log has the report as well
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a") as file:
            time = datetime.now().astimezone().isoformat(timespec="seconds")
            file.write(f"{time}{' ' * (report.kind in STOPPED)}{report}\n\n")


def exit_status(kind: str, signal: int = 0) -> int:
    """Exit status of a process that is stopped because another one failed, or by a signal."""
    return 128 + signal if signal else 2 if kind == USAGE_ERROR else 1


def reported_by_all(reports: Sequence[Report], processes: int) -> bool:
    """Whether all processes report the same, as after a mistake in the command, which is the same for all."""
    return len(reports) == processes and len({(report.kind, report.text) for report in reports}) == 1
