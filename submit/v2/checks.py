"""What only SDK v2 has rules for, checked without a network: nodes, the command, and links in the snapshot."""

from collections.abc import Iterator

from submit.job import SERVERLESS, BuiltEnvironment, Job
from submit.low_priority import about_evictions
from submit.preflight.findings import Finding, error, note, warning
from submit.preflight.snapshot import AML_IGNORE, GIT_IGNORE
from submit.vm_sizes import check_vm_size, successor

_MARK = "${{"


def job_findings(job: Job) -> Iterator[Finding]:
    yield from (_about_serverless(job) if job.compute == SERVERLESS else _about_cluster(job))
    yield from _about_words(job)
    if isinstance(job.environment, BuiltEnvironment) and job.environment.context:
        yield from _about_context(job.environment)


def _about_serverless(job: Job) -> Iterator[Finding]:
    if job.vm_size is None:
        yield warning("--compute serverless: without --vm_size, Azure ML chooses the machine, which may have no GPU")
        return
    yield from check_vm_size(job.vm_size)
    if instead := successor(job.vm_size):
        yield error(f"--vm_size {job.vm_size!r}: Azure has retired this size; take {instead!r}")
    if job.low_priority:
        yield about_evictions("--low_priority", job)


def _about_cluster(job: Job) -> Iterator[Finding]:
    given = f"--compute {job.compute!r}"
    if job.low_priority:
        yield error(
            f"--low_priority: is only for --compute serverless; that of a cluster is its own: {given} has it if it was "
            "created with submit compute --low_priority"
        )
    if job.vm_size is not None:
        yield error(f"--vm_size {job.vm_size!r}: is only for --compute serverless; {given} has a size of its own")


def _about_words(job: Job) -> Iterator[Finding]:
    for word in job.command:
        if _MARK in word:
            yield error(f"{word!r}: Azure ML would replace what begins with '{_MARK}'; expected a value without it")
    for name, value in job.environment_variables.items():
        if _MARK in value:
            yield error(f"--env {name}: Azure ML would replace what begins with '{_MARK}'; expected a value without it")


def _about_context(environment: BuiltEnvironment) -> Iterator[Finding]:
    assert environment.context is not None
    folder, name = environment.context
    files = [path for path in folder.iterdir() if path.name != name]
    if not files:
        return
    if any((folder / ignored).is_file() for ignored in (AML_IGNORE, GIT_IGNORE)):
        what = "without what its ignore file names"
        yield note(f"--dockerfile {name!r}: its folder {str(folder)!r} is uploaded as the build's context, {what}")
    else:
        yield warning(
            f"--dockerfile {name!r}: all of its folder {str(folder)!r} is uploaded as the build's context; put it into "
            "a folder of its own"
        )
