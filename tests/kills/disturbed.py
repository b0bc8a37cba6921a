"""A training that is killed or stopped again and again, and started again until it ends by itself."""

import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from submit.emulator import AzureMLEmulator
from tests.kills.attempts import ENDED, Attempt, Durations, Moment
from tests.kills.comparison import differences, steps_saved
from tests.kills.trainings import Training
from tests.support.jobs import Job

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}


class DisturbanceError(Exception):
    """A training didn't end as it should; the message says what is different, and where its files are."""


@dataclass(frozen=True)
class Disturbance:
    """What happened to a training, and when.

    Args:
        training: Its name.
        what: What was killed, or which signal was sent to what.
        aimed: The phase that was to be hit; nothing: any.
        phase: The phase that was hit.
        steps: Steps that were done.
        repeated: Steps that were done a second time.
    """

    training: str
    what: str
    aimed: str
    phase: str
    steps: int
    repeated: int = 0


class Undisturbed:
    """A training that nothing happens to: what it leaves, and how long it takes."""

    def __init__(self, training: Training, service: AzureMLEmulator, data: Path, folder: Path) -> None:
        self.job = new_job(service, folder)
        started = time.monotonic()
        attempt = Attempt(training, self.job, data, 0)
        while attempt.progress().first < 0 and attempt.is_running:
            time.sleep(0.01)
        start_up = time.monotonic() - started
        if attempt.finish() != 0:
            raise DisturbanceError(f"the undisturbed training failed: {attempt.text}")
        self.durations = Durations(start_up, time.monotonic() - started)
        if problems := differences(self.job, self.job):
            raise DisturbanceError(f"the undisturbed training: {problems}")


def new_job(service: AzureMLEmulator, folder: Path) -> Job:
    folder.mkdir()
    return Job(service, service.new_run().id, folder)


class DisturbedRun:
    """Args:
    training: What runs.
    job: Its job.
    data: The images.
    undisturbed: What it must leave.
    """

    def __init__(self, training: Training, job: Job, data: Path, undisturbed: Undisturbed) -> None:
        self._training, self._job, self._data, self._undisturbed = training, job, data, undisturbed
        self._number = self._steps_kept = 0
        self.done: list[Disturbance] = []

    def kill(self, moment: Moment, what: str) -> bool:
        """Starts the training and kills it; returns whether it was still running.

        Args:
            moment: When.
            what: ``training``, ``everything`` or ``rank N``.
        """
        attempt = self._start()
        if not self._wait(attempt, moment):
            return False
        if what == "everything":
            attempt.kill_everything()
        elif what == "training" or not attempt.send(signal.SIGKILL, int(what.removeprefix("rank "))):
            attempt.kill()
        if remaining := attempt.remaining():
            self._fail(attempt, f"these processes still run {ENDED:.0f} s after {what} was killed: {remaining}")
        self._note(attempt, moment, f"SIGKILL: {what}")
        return True

    def stop(self, moment: Moment, number: signal.Signals, what: str) -> bool:
        """Starts the training and sends it a signal; returns whether it was still running.

        Args:
            moment: When.
            number: The signal.
            what: ``rank N``, ``both`` or ``launcher``.
        """
        attempt = self._start()
        if not self._wait(attempt, moment):
            return False
        phase = attempt.phase()
        ranks = range(self._training.processes) if what == "both" else [int(what[-1])] if what != "launcher" else []
        sent = [attempt.send(number, rank) for rank in ranks]
        if not any(sent):
            what = "launcher"  # also where the rank isn't there yet
            attempt.process.send_signal(number)
        if remaining := attempt.remaining():
            self._fail(attempt, f"these processes still run {ENDED:.0f} s after {number.name}: {remaining}")
        self._check_stop(attempt, phase, number)
        self._note(attempt, moment, f"{number.name}: {what}", phase)
        return True

    def finish(self) -> None:
        """Starts the training a last time, and compares what it has left.

        Raises:
            DisturbanceError: Something is different.
        """
        attempt = self._start()
        if attempt.finish() != 0:
            self._fail(attempt, f"exit status {attempt.process.returncode}")
        self._note_repeated(attempt)
        if problems := differences(self._job, self._undisturbed.job):
            self._fail(attempt, "; ".join(problems))

    def _start(self) -> Attempt:
        self._number += 1
        return Attempt(self._training, self._job, self._data, self._number)

    def _wait(self, attempt: Attempt, moment: Moment) -> bool:
        if attempt.wait_for(moment, self._undisturbed.durations):
            return True
        if attempt.finish() != 0:
            self._fail(attempt, f"exit status {attempt.process.returncode} before anything happened to it")
        self._note_repeated(attempt)
        return False

    def _note(self, attempt: Attempt, moment: Moment, what: str, phase: str = "") -> None:
        self._note_repeated(attempt)
        steps = max(attempt.progress(rank).steps for rank in range(self._training.processes))
        self.done.append(Disturbance(self._training.name, what, moment.phase, phase or attempt.phase(), steps))
        self._steps_kept = attempt.steps_kept()

    def _note_repeated(self, attempt: Attempt) -> None:
        """The steps between where an attempt began to train and where the earlier ones had come."""
        first = attempt.progress().first
        if first < 0 or not self.done:
            return
        if first < self._steps_kept:
            self._fail(attempt, f"began at step {first}; {self._steps_kept} steps must have been written")
        farthest = max(range(len(self.done)), key=lambda index: self.done[index].steps)
        repeated = max(0, self.done[farthest].steps - first)
        self.done[farthest] = replace(self.done[farthest], repeated=max(repeated, self.done[farthest].repeated))

    def _check_stop(self, attempt: Attempt, phase: str, number: signal.Signals) -> None:
        progress = [attempt.progress(rank) for rank in range(self._training.processes)]
        if phase in ("training", "validation", "checkpoint"):
            if len({each.steps for each in progress}) > 1:
                self._fail(attempt, f"ranks at different steps: {progress}")
            if steps_saved(self._job) != progress[0].steps:
                self._fail(attempt, f"{steps_saved(self._job)} steps are saved: {progress}")
        status, expected = attempt.process.returncode, STATUS[number]
        allowed = {1} if self._training.launcher else {expected}
        if progress[0].pid == 0:  # it was still loading libraries, and had no handler yet
            allowed |= {-number, 1}
        if phase == "end":
            allowed |= {0, -number}  # the program has ended its work, and its handlers with it
        if status not in allowed:
            self._fail(attempt, f"exit status {status} after {number.name} in {phase}")

    def _fail(self, attempt: Attempt, problem: str) -> None:
        lines = [f"{self._training.name}, attempt {self._number} in {self._job.folder}: {problem}"]
        lines += [f"  {each}" for each in self.done]
        raise DisturbanceError("\n".join([*lines, attempt.text[-3000:]]))


def moments(numbers: random.Random, phases: Sequence[str]) -> Iterator[Moment]:
    """A random moment in each of the phases."""
    return (Moment(phase, numbers.random(), numbers.random()) for phase in phases)
