"""Rehearses a whole job on this machine: the SDK sends it to the emulator, and it runs as on a cluster."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lightning_app.azureml.credentials import ACCESS_TOKEN
from lightning_app.watchdog.protocol import PROGRESS_FOLDER
from submit.errors import SubmitError
from submit.execution.attempts import Attempt, JobRun
from submit.execution.eviction_plan import EvictionPlan, Evictions, PlannedEviction
from submit.execution.nodes import Nodes
from submit.execution.processes import ProcessResult
from submit.execution.requests import definition_of
from submit.execution.scratch import scratch_folder
from submit.interface import Sdk
from submit.job import SERVERLESS, CuratedEnvironment, Job, RegisteredDataset

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, Run, SubmittedJob

VM_SIZE = "Standard_NC24ads_A100_v4"  # of the emulated cluster; nothing depends on it
IMAGE = "rehearsal/environment:1"  # never pulled: a rehearsed job uses this machine's Python
DELIVERY_LOCK = ".delivery.lock"  # of the logger's sender, in the run folder
_SECONDS_FOR_SENDERS = 20.0


@dataclass(frozen=True)
class RehearsalResult:
    """The result of a job: its attempts, and the run at the emulator.

    ``evictions`` are those that were announced, and ``unreached`` those that the job has ended before.
    """

    run: "Run"
    attempts: Sequence[Attempt]
    is_read_only: bool
    unknown: Sequence[str]
    evictions: Sequence[PlannedEviction] = ()
    unreached: Sequence[PlannedEviction] = ()

    @property
    def processes(self) -> Sequence[ProcessResult]:
        """Of the last attempt."""
        return self.attempts[-1].results

    @property
    def status(self) -> int:
        """0 for a completed job, otherwise the exit status of the first process that failed by itself."""
        failed = [process.status for process in self.processes if process.has_failed]
        failed += [process.status for process in self.processes if process.status]
        return (128 - failed[0] if failed[0] < 0 else failed[0]) if failed else 0


def rehearse(
    job: Job,
    sdk: Sdk,
    data: Path | None,
    timeout: float,
    show: Callable[[str], None],
    evictions: Evictions | None = None,
) -> RehearsalResult:
    """Sends the job, runs it and collects what Azure ML would keep.

    Args:
        job: The job.
        sdk: Which sends it.
        data: The folder of this machine that is used for the job's data.
        timeout: Seconds after which the processes are ended.
        show: Called with each line that rank 0 prints.
        evictions: Of the job's first node, on a low-priority cluster; None for a cluster whose nodes stay.

    Raises:
        SubmitError: The job has data and no folder was given for it, or the emulator refuses the job.
    """
    require_extra()
    if job.data is not None and data is None:
        raise SubmitError(
            "--dataset is in the workspace; give --rehearsal_data DIR, a folder of this machine to use for it"
        )
    from submit.emulator import AzureMLEmulator

    with scratch_folder("rehearsal-") as root, AzureMLEmulator() as service:
        submitted = _submit(job, sdk, service, root, "Dedicated" if evictions is None else "LowPriority")
        run = _job_run(submitted, service, root, data if job.data else None)
        plan = EvictionPlan(
            evictions or Evictions((), 0), service, run.node_name(0), root / "progress", lambda line: show(f"[{line}]")
        )
        run.prepare = plan.start
        attempts = run.run(timeout, show, plan.advance)
        completed = not any(result.status for result in attempts[-1].results)
        service.set_run_status(submitted.run_id, "Completed" if completed else "Failed")
        found, is_read_only = service.run(submitted.run_id), run.inputs.are_read_only
        return RehearsalResult(found, attempts, is_read_only, service.unknown, plan.announced, plan.unreached)


def require_extra() -> None:
    """Raises SubmitError without the packages that the emulator needs."""
    if any(importlib.util.find_spec(name) is None for name in ("jwt", "trustme")):
        raise SubmitError("rehearse needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'")


def _submit(job: Job, sdk: Sdk, service: "AzureMLEmulator", root: Path, priority: str) -> "SubmittedJob":
    if job.compute != SERVERLESS:
        service.add_compute(job.compute, VM_SIZE, job.nodes, priority)
    _add_environment(job, service)
    if isinstance(job.data, RegisteredDataset):
        version = None if job.data.version == "latest" else job.data.version
        service.add_data(job.data.name, job.data.name, version=version)
    # the SDK reads these when it is imported and for each request; all requests go to the emulator
    os.environ.update(service.workspace_environment(root / "home") | {ACCESS_TOKEN: service.user_token()})
    sdk.open_workspace(service.write_workspace_config(root)).send(job)
    return service.jobs[-1]


def _add_environment(job: Job, service: "AzureMLEmulator") -> None:
    wanted = job.environment
    if not isinstance(wanted, CuratedEnvironment):
        return
    if wanted.registry:
        service.add_registry_environment(wanted.name, IMAGE, wanted.version)
    else:
        service.add_environment(wanted.name, IMAGE, wanted.version)


def _job_run(submitted: "SubmittedJob", service: "AzureMLEmulator", root: Path, data: Path | None) -> JobRun:
    definition = definition_of(submitted)
    nodes = Nodes(root / "nodes", definition, submitted.files)
    outputs = definition.prepare_outputs(service, submitted.run_id, root / "mnt" / "written")
    inputs = definition.prepare_inputs(service, root / "mnt", data)
    progress = root / "progress"
    progress.mkdir()

    def collect() -> None:
        _wait_for_senders(nodes.root)
        for name, file in nodes.outputs():
            service.add_artifact(submitted.run_id, name, file.read_bytes())

    return JobRun(
        service,
        submitted.run_id,
        nodes,
        definition.with_outputs(inputs, outputs),
        {PROGRESS_FOLDER: str(progress)},
        collect=collect,
    )


def _wait_for_senders(folder: Path) -> None:
    """After a training was killed, the logger's sender runs for a while and holds its lock."""
    for path in folder.rglob(DELIVERY_LOCK):
        with contextlib.suppress(Timeout), FileLock(path, timeout=_SECONDS_FOR_SENDERS):
            pass


def format_report(rehearsal: RehearsalResult) -> str:
    """Exit codes by rank, metrics, files of the run, warnings, and the failed rank last."""
    return "\n".join(
        [
            *_process_lines(rehearsal),
            "",
            *_metric_lines(rehearsal),
            "",
            *_file_lines(rehearsal),
            *_rehearsal_warnings(rehearsal),
        ]
    )


def _process_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    if rehearsal.evictions or rehearsal.unreached:
        yield from _eviction_lines(rehearsal)
        yield ""
    yield (
        "Processes:" if len(rehearsal.attempts) == 1 else f"Processes of start {len(rehearsal.attempts)}, the last one:"
    )
    for result in rehearsal.processes:
        how = "ended because another one failed" if result.was_ended else f"exit code {result.status}"
        yield f"  rank {result.rank.rank} (node {result.rank.node}, process {result.rank.local_rank}): {how}"


def _eviction_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    yield "Evictions:"
    ended = iter(attempt for attempt in rehearsal.attempts if attempt.eviction is not None)
    for eviction in rehearsal.evictions:
        if eviction.outcome == "withdrawn":
            yield f"  {eviction.when}: announced and withdrawn"
            continue
        attempt = next(ended, None)
        if attempt is None:
            yield f"  {eviction.when}: announced; the job ended before"
            continue
        how = "the processes were killed" if attempt.was_taken else "the processes had ended by themselves, and saved"
        disk = "came back" if eviction.outcome == "kept" else "were lost"
        yield f"  {eviction.when}: {how}; the outputs {disk}; the job started again"
    for eviction in rehearsal.unreached:
        yield f"  {eviction.when}: not reached before the job ended"


def _metric_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    metrics = rehearsal.run.metrics
    yield "Metrics at the service:" if metrics else "Metrics at the service: none"
    for name, rows in metrics.items():
        last = rows[-1].data.get(name)
        value = f", last {last:.4g}" if isinstance(last, int | float) else ""
        yield f"  {name}: {len(rows)} value{'s' * (len(rows) != 1)}{value}"


def _file_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    yield "Files of the run:"
    for path, content in sorted(rehearsal.run.artifacts.items()):
        yield f"  {path} ({len(content):,} bytes)"


def _rehearsal_warnings(rehearsal: RehearsalResult) -> Iterator[str]:
    if not rehearsal.is_read_only:
        yield ""
        yield "warning: this system allows no mounts; the job got a link to the data and could have changed it"
    for request in rehearsal.unknown:
        yield f"warning: the emulator doesn't know this request of the job: {request}"
    for result in rehearsal.processes:
        if result.has_failed:
            yield f"\nrank {result.rank.rank} on node {result.rank.node} failed; its last lines:"
            yield from (f"  {line}" for line in result.last_lines)
