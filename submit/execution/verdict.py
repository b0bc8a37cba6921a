"""What a rehearsal says in the end: whether the job runs, how to send it, and what was not rehearsed."""

import platform
import re
import shlex
from collections.abc import Iterator, Sequence

from lightning_app.command_line.flags import without_flag
from submit.execution.comparison import last_checkpoint, row_count
from submit.execution.rehearse import RehearsalResult
from submit.job import BuiltEnvironment, Job

_OF_THE_REHEARSAL = ("--limit", "--rehearsal_data", "--timeout", "--evict", "--evict_disk", "--evict_notice")
_SWITCH = "--no_comparison"
_PYTHON = re.compile(r"python=+(\d+\.\d+)")


def format_verdict(
    rehearsal: RehearsalResult,
    job: Job,
    arguments: Sequence[str],
    undisturbed: RehearsalResult | None = None,
    differences: Sequence[str] = (),
) -> str:
    """What to do next.

    Args:
        rehearsal: Of the job.
        job: The job.
        arguments: Those of the command ``rehearse``.
        undisturbed: The same job without evictions, if the results are compared.
        differences: Between the results, a line each.
    """
    return "\n".join(_lines(rehearsal, job, arguments, undisturbed, differences))


def _lines(
    rehearsal: RehearsalResult,
    job: Job,
    arguments: Sequence[str],
    undisturbed: RehearsalResult | None,
    differences: Sequence[str],
) -> Iterator[str]:
    if rehearsal.status:
        yield f"The job failed with exit code {rehearsal.status}. Mend what the lines above say, and rehearse again."
        return
    if differences:
        yield "The result is another one than without evictions:"
        yield from (f"  {line}" for line in differences)
        return
    if undisturbed is not None:
        yield (
            f"The result is that of the job without evictions: {last_checkpoint(rehearsal.run)} has the same weights, "
            f"bit by bit, and the service has the same {row_count(rehearsal.run):,} rows of metrics, each once."
        )
    yield "The job has completed. To send it:"
    yield f"  python -m submit run {shlex.join(_of_run(arguments))}".rstrip()
    yield f"Not rehearsed: {'; '.join(_gaps(rehearsal, job, arguments))}."


def _of_run(arguments: Sequence[str]) -> Sequence[str]:
    for flag in _OF_THE_REHEARSAL:
        arguments = without_flag(arguments, flag)
    return [argument for argument in arguments if argument != _SWITCH]


def _gaps(rehearsal: RehearsalResult, job: Job, arguments: Sequence[str]) -> Iterator[str]:
    yield "building or pulling the image"
    yield "GPUs and NCCL (the processes used gloo on this machine's processors)"
    yield f"the environment's Python and packages ({_pythons(job)})"
    yield "the workspace: its cluster, its datasets and its quota, which submit run checks"
    if any(argument.partition("=")[0] == "--limit" for argument in arguments):
        yield "the batches beyond --limit"
    if rehearsal.evictions:
        yield "whether Azure ML starts a job again that has ended by itself after the notice, and with which outputs"


def _pythons(job: Job) -> str:
    used = f"this machine's is {platform.python_version()}"
    conda = job.environment.conda if isinstance(job.environment, BuiltEnvironment) else None
    wanted = _PYTHON.search(conda or "")
    return f"{used}, the job's {wanted[1]}" if wanted else used
