"""A whole job on this machine: sent to the emulator by azureml-core, and run as on a cluster."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from submit.emulator import AzureMLEmulator, Run, SubmittedJob
from submit.errors import SubmitError
from submit.execution.mount import Mount
from submit.execution.nodes import Nodes
from submit.execution.processes import Processes, ProcessResult
from submit.job import CuratedEnvironment, Job

VM_SIZE = "Standard_NC24ads_A100_v4"  # of the cluster that is rehearsed; nothing depends on it
IMAGE = "rehearsal/environment:1"  # which isn't pulled: a rehearsed job has this machine's Python
DELIVERY_LOCK = ".delivery.lock"  # of the logger's sender, in the run folder
_SECONDS_FOR_SENDERS = 20.0


@dataclass(frozen=True)
class RehearsalResult:
    """What came of a job: how its processes ended, and the run as the service has it."""

    run: Run
    ended: Sequence[ProcessResult]
    is_read_only: bool
    unknown: Sequence[str]

    @property
    def status(self) -> int:
        """0 where the job would have been completed, otherwise that of the first process that failed by itself."""
        failed = [ended.status for ended in self.ended if ended.has_failed]
        failed += [ended.status for ended in self.ended if ended.status]
        return (128 - failed[0] if failed[0] < 0 else failed[0]) if failed else 0


def rehearse(job: Job, data: Path | None, timeout: float, tell: Callable[[str], None]) -> RehearsalResult:
    """Sends the job, carries it out and collects what Azure ML would keep.

    Args:
        job: The job.
        data: The folder of this machine that stands for the job's data.
        timeout: Seconds after which the processes are ended.
        tell: Called with each line that rank 0 prints.

    Raises:
        SubmitError: The job has data, and no folder stands for it; or the service refuses the job.
    """
    if job.data is not None and data is None:
        raise SubmitError("--dataset is in the workspace; give --rehearsal_data DIR, a folder here that stands for it")
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as root, AzureMLEmulator() as service:
        submitted = _submit(job, service, Path(root))
        mount = Mount(data, Path(root) / "mnt" / "data") if data and job.data else None
        ended = _execute(submitted, service, Path(root), mount, timeout, tell)
        return RehearsalResult(
            service.run(submitted.run_id), ended, mount is None or mount.is_read_only, service.unknown
        )


def _submit(job: Job, service: AzureMLEmulator, root: Path) -> SubmittedJob:
    service.add_compute(job.compute, VM_SIZE, job.nodes)
    if isinstance(job.environment, CuratedEnvironment):
        service.add_environment(job.environment.name, IMAGE)
    # azureml-core reads these when it is imported and when it asks; nothing of this process goes anywhere else
    os.environ.update(service.workspace_environment(root / "home"))
    from azureml.core import Workspace
    from azureml.core.authentication import TokenAuthentication

    from submit.submission import send_job

    config = service.write_workspace_config(root)
    authentication = TokenAuthentication(lambda audience: service.user_token(), cloud="AzureCloud")
    send_job(job, Workspace.from_config(path=str(config), auth=authentication))
    return service.jobs[-1]


def _execute(
    submitted: SubmittedJob,
    service: AzureMLEmulator,
    root: Path,
    mount: Mount | None,
    timeout: float,
    tell: Callable[[str], None],
) -> list[ProcessResult]:
    nodes = Nodes(root / "nodes", submitted.definition["Configuration"], submitted.files)
    nodes.lay_out()
    service.set_run_status(submitted.run_id, "Running")
    environment = service.job_environment(submitted.run_id, root / "job-home")
    with Processes(nodes.starts(environment, mount)) as processes:
        ended = processes.wait(timeout, tell)
    _wait_for_senders(nodes.root)
    for name, file in nodes.outputs():
        service.add_artifact(submitted.run_id, name, file.read_bytes())
    completed = not any(process.status for process in ended)
    service.set_run_status(submitted.run_id, "Completed" if completed else "Failed")
    return ended


def _wait_for_senders(folder: Path) -> None:
    """Where training was killed, the logger's sender goes on for a moment, and holds its lock meanwhile."""
    for path in folder.rglob(DELIVERY_LOCK):
        with contextlib.suppress(Timeout), FileLock(path, timeout=_SECONDS_FOR_SENDERS):
            pass


def format_report(rehearsal: RehearsalResult) -> str:
    """Exit codes by rank, metrics at the service, files that the run would have, warnings; the failed rank last."""
    return "\n".join(
        [
            *_process_lines(rehearsal),
            "",
            *_metric_lines(rehearsal),
            "",
            *_file_lines(rehearsal),
            *_warning_lines(rehearsal),
        ]
    )


def _process_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    yield "Processes:"
    for ended in rehearsal.ended:
        how = "ended because another one failed" if ended.was_ended else f"exit code {ended.status}"
        yield f"  rank {ended.place.rank} (node {ended.place.node}, process {ended.place.local_rank}): {how}"


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


def _warning_lines(rehearsal: RehearsalResult) -> Iterator[str]:
    if not rehearsal.is_read_only:
        yield ""
        yield "warning: this system allows no mounts; the job had a link to the data, which it could have changed"
    for request in rehearsal.unknown:
        yield f"warning: the job asked for something that the rehearsed Azure ML doesn't know: {request}"
    for ended in rehearsal.ended:
        if ended.has_failed:
            yield f"\nrank {ended.place.rank} on node {ended.place.node} failed; its last lines:"
            yield from (f"  {line}" for line in ended.last_lines)
