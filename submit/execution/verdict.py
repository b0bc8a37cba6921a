"""What a rehearsal says in the end: whether the job runs, how to send it, and what was not rehearsed."""

import platform
import re
import shlex
from collections.abc import Iterator, Sequence

from lightning_app.command_line.flags import without_flag
from submit.execution.rehearse import RehearsalResult
from submit.job import BuiltEnvironment, Job

_OF_THE_REHEARSAL = ("--limit", "--rehearsal_data", "--timeout")
_PYTHON = re.compile(r"python=+(\d+\.\d+)")


def format_verdict(rehearsal: RehearsalResult, job: Job, arguments: Sequence[str]) -> str:
    """``arguments`` are those of the command ``rehearse``."""
    return "\n".join(_lines(rehearsal, job, arguments))


def _lines(rehearsal: RehearsalResult, job: Job, arguments: Sequence[str]) -> Iterator[str]:
    if rehearsal.status:
        yield f"The job failed with exit code {rehearsal.status}. Mend what the lines above say, and rehearse again."
        return
    yield "The job has completed. To send it:"
    yield f"  python -m submit run {shlex.join(_of_run(arguments))}".rstrip()
    yield f"Not rehearsed: {'; '.join(_gaps(job, arguments))}."


def _of_run(arguments: Sequence[str]) -> Sequence[str]:
    for flag in _OF_THE_REHEARSAL:
        arguments = without_flag(arguments, flag)
    return arguments


def _gaps(job: Job, arguments: Sequence[str]) -> Iterator[str]:
    yield "building or pulling the image"
    yield "GPUs and NCCL (the processes used gloo on this machine's processors)"
    yield f"the environment's Python and packages ({_pythons(job)})"
    yield "the workspace: its cluster, its datasets and its quota, which submit run checks"
    if any(argument.partition("=")[0] == "--limit" for argument in arguments):
        yield "the batches beyond --limit"


def _pythons(job: Job) -> str:
    used = f"this machine's is {platform.python_version()}"
    conda = job.environment.conda if isinstance(job.environment, BuiltEnvironment) else None
    wanted = _PYTHON.search(conda or "")
    return f"{used}, the job's {wanted[1]}" if wanted else used
