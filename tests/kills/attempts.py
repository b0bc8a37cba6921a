"""One start of a training's command: its processes, its progress, and the moment at which something happens to it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_app.checkpointing.checkpoint_io import MOST_WAITING
from tests.kills.phases import FOLDER, PHASES, Progress, read_progress, read_saves
from tests.kills.trainings import Training
from tests.support.jobs import Job

ENDED = 120.0  # seconds, ten times what is usual, in which processes end
_MARK = "TRAINING_MARK"  # the variable by which the processes of an attempt are found, also those that have no parent
_POLL = 0.0005


@dataclass(frozen=True)
class Moment:
    """When something happens.

    Args:
        phase: The phase; nothing: at any time between start and end.
        place: Where in the phase, from 0 to 1; of phases that come again, how much of the training comes before.
        within: Where in a validation or in the writing of a checkpoint, from 0 to 1.
    """

    phase: str
    place: float
    within: float


@dataclass(frozen=True)
class Durations:
    """How long parts of an undisturbed training take, in seconds."""

    start_up: float
    whole: float


class Attempt:
    """The command of a training, in a job of the emulator.

    Args:
        training: What runs.
        job: Its job.
        data: The images.
        number: How often it has been started.
        delay: Seconds that each step takes longer, so that short phases don't vanish among long ones.
    """

    def __init__(self, training: Training, job: Job, data: Path, number: int, delay: float = 0.0) -> None:
        self.training, self._job = training, job
        self._phases = job.folder / f"attempt-{number}"
        self._phases.mkdir()
        self.log = self._phases.with_suffix(".log")
        self._mark = f"{_MARK}={os.getpid()}-{job.run_id}-{number}"
        self._unfinished_before = set(self._unfinished())
        more = {FOLDER: str(self._phases), _MARK: self._mark.partition("=")[2], "TRAINING_DELAY": str(delay)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                training.command(data),
                cwd=job.folder,
                env=job.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # a shell's background jobs ignore interrupts, and their children inherit that
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        self._started = time.monotonic()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def text(self) -> str:
        return self.log.read_text()

    def progress(self, rank: int = 0) -> Progress:
        return read_progress(self._phases, rank)

    def steps_kept(self) -> int:
        """Steps that the next attempt must have: without the states that were being copied or waited for the disk."""
        written = read_saves(self._phases)[: -(MOST_WAITING + 1)]
        return max(0, self.progress().first, *written[-1:])

    def writes_a_checkpoint(self) -> bool:
        return bool(set(self._unfinished()) - self._unfinished_before)

    def phase(self) -> str:
        """The phase that has come farthest towards an unfinished file."""
        return "checkpoint" if self.writes_a_checkpoint() else self.progress().phase

    def wait_for(self, moment: Moment, durations: Durations) -> bool:
        """Returns whether the training still runs then."""
        if moment.phase in ("", "start-up", "end"):
            if moment.phase == "end" and not self._wait(lambda: self.progress().phase == "end"):
                return False
            seconds = durations.whole if moment.phase == "" else durations.start_up if moment.phase == "start-up" else 3
            return self._sleep(moment.place * seconds)
        if not self._wait(lambda: self.progress().first >= 0):
            return False
        first = self.progress().first
        target = first + moment.place * (self.training.steps - first)
        if not self._wait(lambda: self.progress().steps >= target or self.progress().phase == "end"):
            return False
        if moment.phase == "checkpoint":
            in_time = self._wait(lambda: self.phase() == "checkpoint")
        else:
            in_time = self._wait(lambda: self.progress().phase == moment.phase)
        return in_time and self._sleep(moment.within * 0.03)

    def ranks(self) -> dict[int, int]:
        """The training processes of each rank, without workers, agents and senders."""
        found = {pid: variables for pid, words, variables in self._processes() if _trains(words)}
        return {
            _rank(variables): pid
            for pid, variables in found.items()
            if _rank(variables) != _rank(found.get(_parent(pid), {"RANK": "-1"}))
        }

    def kill(self) -> None:
        """Kills the processes of all ranks, and nothing else."""
        for pid in self.ranks().values():
            _signal(pid, signal.SIGKILL)

    def kill_everything(self) -> None:
        """Like the loss of the machine: nothing is left that could deliver metrics, or end anything."""
        while pids := [pid for pid, *_ in self._processes()]:
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.002)

    def send(self, number: signal.Signals, rank: int) -> bool:
        """Returns whether there is such a process."""
        pid = self.ranks().get(rank)
        if pid is not None:
            _signal(pid, number)
        return pid is not None

    def remaining(self) -> list[str]:
        """The command lines of training processes that haven't ended in time."""
        deadline = time.monotonic() + ENDED
        while (found := [" ".join(words) for _, words, _ in self._processes() if _trains(words)]) or self.is_running:
            if time.monotonic() > deadline:
                return found
            time.sleep(0.01)
        return []

    def finish(self) -> int:
        return self.process.wait(ENDED)

    def _processes(self) -> Iterator[tuple[int, list[str], Mapping[str, str]]]:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes()
                if self._mark.encode() in variables.split(b"\0"):
                    words = (folder / "cmdline").read_bytes().decode().split("\0")
                    pairs = (each.partition("=") for each in variables.decode(errors="replace").split("\0"))
                    yield int(folder.name), words, {name: value for name, _, value in pairs}

    def _unfinished(self) -> Iterator[Path]:
        return (self._job.folder / "outputs" / "checkpoints").glob(".*.tmp")

    def _wait(self, condition: Callable[[], bool]) -> bool:
        while not condition():
            if not self.is_running:
                return False
            time.sleep(_POLL)
        return True

    def _sleep(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.is_running


def _trains(words: list[str]) -> bool:
    return "lightning_app.fit" in words and not any(word.endswith("torchrun") for word in words)


def _rank(variables: Mapping[str, str]) -> int:
    return int(variables.get("RANK") or variables.get("LOCAL_RANK") or 0)


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


__all__ = ["PHASES", "Attempt", "Durations", "Moment"]
