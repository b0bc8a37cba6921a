"""Rehearses a whole job on this machine: azureml-core sends it to the emulator, and it runs as on a cluster."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from submit.errors import SubmitError
from submit.execution.mount import Mount
from submit.execution.nodes import Nodes
from submit.execution.processes import Processes, ProcessResult
from submit.execution.scratch import scratch_folder
from submit.job import CuratedEnvironment, Job

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, Run, SubmittedJob

VM_SIZE = "Standard_NC24ads_A100_v4"  # of the emulated cluster; nothing depends on it
IMAGE = "rehearsal/environment:1"  # never pulled: a rehearsed job uses this machine's Python
DELIVERY_LOCK = ".delivery.lock"  # of the logger's sender, in the run folder
_SECONDS_FOR_SENDERS = 20.0


@dataclass(frozen=True)
class RehearsalResult:
    """The result of a job: its processes, and the run at the emulator."""

    run: "Run"
    processes: Sequence[ProcessResult]
    is_read_only: bool
    unknown: Sequence[str]

    @property
    def status(self) -> int:
        """0 for a completed job, otherwise the exit status of the first process that failed by itself."""
        failed = [process.status for process in self.processes if process.has_failed]
        failed += [process.status for process in self.processes if process.status]
        return (128 - failed[0] if failed[0] < 0 else failed[0]) if failed else 0


def rehearse(job: Job, data: Path | None, timeout: float, show: Callable[[str], None]) -> RehearsalResult:
    """Sends the job, runs it and collects what Azure ML would keep.

    Args:
        job: The job.
        data: The folder of this machine that is used for the job's data.
        timeout: Seconds after which the processes are ended.
        show: Called with each line that rank 0 prints.

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
        submitted = _submit(job, service, root)
        mount = Mount(data, root / "mnt" / "data") if data and job.data else None
        processes = _execute(submitted, service, root, mount, timeout, show)
        return RehearsalResult(
            service.run(submitted.run_id), processes, mount is None or mount.is_read_only, service.unknown
        )


def require_extra() -> None:
    """Raises SubmitError without the packages that the emulator needs."""
    if any(importlib.util.find_spec(name) is None for name in ("jwt", "trustme")):
        raise SubmitError("rehearse needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'")


def _submit(job: Job, service: "AzureMLEmulator", root: Path) -> "SubmittedJob":
    service.add_compute(job.compute, VM_SIZE, job.nodes)
    if isinstance(job.environment, CuratedEnvironment):
        service.add_environment(job.environment.name, IMAGE)
    # azureml-core reads these when it is imported and for each request; all requests go to the emulator
    os.environ.update(service.workspace_environment(root / "home"))
    from azureml.core import Workspace
    from azureml.core.authentication import TokenAuthentication

    from submit.submission import send_job

    config = service.write_workspace_config(root)
    authentication = TokenAuthentication(lambda audience: service.user_token(), cloud="AzureCloud")
    send_job(job, Workspace.from_config(path=str(config), auth=authentication))
    return service.jobs[-1]


def _execute(
    submitted: "SubmittedJob",
    service: "AzureMLEmulator",
    root: Path,
    mount: Mount | None,
    timeout: float,
    show: Callable[[str], None],
) -> list[ProcessResult]:
    nodes = Nodes(root / "nodes", submitted.definition["Configuration"], submitted.files)
    nodes.write_snapshots()
    service.set_run_status(submitted.run_id, "Running")
    environment = service.job_environment(submitted.run_id, root / "job-home")
    with Processes(nodes.starts(environment, mount)) as processes:
        results = processes.wait(timeout, show)
    _wait_for_senders(nodes.root)
    for name, file in nodes.outputs():
        service.add_artifact(submitted.run_id, name, file.read_bytes())
    completed = not any(result.status for result in results)
    service.set_run_status(submitted.run_id, "Completed" if completed else "Failed")
    return results


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
    yield "Processes:"
    for result in rehearsal.processes:
        how = "ended because another one failed" if result.was_ended else f"exit code {result.status}"
        yield f"  rank {result.rank.rank} (node {result.rank.node}, process {result.rank.local_rank}): {how}"


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
