"""Runs the jobs of the emulator on this machine, as a cluster would: in their order, and so many at a time."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from submit.execution.attempts import JobRun
from submit.execution.nodes import LOGS, Nodes
from submit.execution.processes import ProcessResult
from submit.execution.requests import definition_of
from submit.execution.submissions import Submissions

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, SubmittedJob

_ENDED = ("Completed", "Failed", "Canceled")
LONGEST_JOB = 30 * 24 * 3600.0  # seconds, as at Azure ML


class Worker:
    """Takes each queued job, runs its processes and keeps what they leave. Use it as a context manager.

    Args:
        service: The emulator that gets the jobs.
        root: A folder for the jobs' own folders, which are removed when they end.
        concurrent: How many jobs run at a time.
        report: Called with a line when a job starts and when it ends.
    """

    def __init__(
        self, service: "AzureMLEmulator", root: Path, concurrent: int, report: Callable[[str], None] = print
    ) -> None:
        self._service, self._root, self._report = service, root, report
        self._jobs = Submissions(lambda: service.jobs, self._run, concurrent)
        self._stopped = self._jobs.stopped

    def __enter__(self) -> "Worker":
        self._jobs.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.__exit__()

    def _run(self, job: "SubmittedJob") -> None:
        if self._has_ended(job):  # it was cancelled while it was queued
            return
        self._report(f"{job.run_id} starts")
        try:
            self._execute(job)
        except Exception as error:  # whatever a job's definition can cause ends the job, and not the service
            self._finish(job, str(error) or type(error).__name__)
        finally:
            shutil.rmtree(self._root / job.run_id, ignore_errors=True)
        self._report(f"{job.run_id} is {self._service.run(job.run_id).status}")

    def _execute(self, job: "SubmittedJob") -> None:
        folder = self._root / job.run_id
        definition = definition_of(job)
        self._service.set_run_status(job.run_id, "Preparing")
        outputs = definition.prepare_outputs(self._service, job.run_id, folder / "written")
        inputs = definition.with_outputs(definition.prepare_inputs(self._service, folder / "inputs"), outputs)
        nodes = Nodes(folder / "nodes", definition, job.files)
        longest = float(definition.seconds or LONGEST_JOB)
        run = JobRun(self._service, job.run_id, nodes, inputs, collect=lambda: self._collect(job, nodes))
        if self._has_ended(job):
            return
        attempts = run.run(longest, lambda line: None, lambda: self._is_over(job, nodes))
        for output in outputs.values():
            output.store(self._service)
        self._finish(job, _failure(attempts[-1].results))

    def _is_over(self, job: "SubmittedJob", nodes: Nodes) -> bool:
        """Whether the processes have to end; called often, so that the logs can be followed while they grow."""
        kept = self._service.run(job.run_id).artifacts
        for name, file in nodes.logs():
            if len(kept.get(name, b"")) != file.stat().st_size:
                self._service.add_artifact(job.run_id, name, file.read_bytes())
        return self._stopped.is_set() or self._has_ended(job)

    def _collect(self, job: "SubmittedJob", nodes: Nodes) -> None:
        for name, file in nodes.outputs():
            self._service.add_artifact(job.run_id, name, file.read_bytes())

    def _has_ended(self, job: "SubmittedJob") -> bool:
        return self._service.run(job.run_id).status in _ENDED

    def _finish(self, job: "SubmittedJob", failure: str | None) -> None:
        if self._has_ended(job):
            return
        if self._stopped.is_set():
            self._service.set_run_status(job.run_id, "Canceled")
        else:
            self._service.set_run_status(job.run_id, "Failed" if failure else "Completed", failure)


def _failure(results: Sequence[ProcessResult]) -> str | None:
    """What Azure ML would report of the first process that has failed."""
    failed = [result for result in results if result.has_failed] or [result for result in results if result.status]
    if not failed:
        return None
    last = failed[0].last_lines[-1] if failed[0].last_lines else f"see {LOGS}"
    return f"the process of rank {failed[0].rank.rank} ended with exit code {failed[0].status}: {last}"
