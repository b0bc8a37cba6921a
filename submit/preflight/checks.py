"""All checks of a job and its snapshot before anything is sent."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from submit import program
from submit.interface import Sdk
from submit.job import BuiltEnvironment, Job
from submit.preflight import secrets, snapshot_checks, training_files
from submit.preflight.environment_checks import check_environment
from submit.preflight.findings import Finding, error, note, report_findings, warning
from submit.preflight.git_remote import check_addresses, clean_addresses
from submit.preflight.settings import (
    check_compute_name,
    check_conda_file,
    check_experiment_name,
    check_image,
    check_shm_size,
    check_variables,
)
from submit.preflight.snapshot import Snapshot
from submit.training_flags import trains_on_generated_images


def check_snapshot(snapshot: Snapshot, arguments: Sequence[str] = ()) -> list[Finding]:
    """Findings about a snapshot for a training command with these arguments, errors first."""
    if snapshot.impossible:
        return snapshot_checks.check_impossible(snapshot)  # the SDK stops there, so nothing else is known
    return sorted(_snapshot_findings(snapshot, arguments), key=lambda finding: finding.level)


def check_folder(folder: Path, sdk: Sdk, arguments: Sequence[str] = ()) -> list[Finding]:
    if not folder.is_dir():
        return [error(f"--source_directory {str(folder)!r}: not a folder; expected the folder of the project")]
    return check_snapshot(Snapshot.of(folder, sdk.ignore_rules), arguments)


def _snapshot_findings(snapshot: Snapshot, arguments: Sequence[str]) -> Iterator[Finding]:
    for check in (*snapshot_checks.CHECKS, secrets.check_secret_names, secrets.check_secret_texts):
        yield from check(snapshot)
    yield from snapshot_checks.check_checkpoints(snapshot, training_files.named_files(snapshot, arguments))
    yield from training_files.check_code(snapshot, arguments)
    yield from training_files.check_named_files(snapshot, arguments)


def check_job(job: Job, sdk: Sdk, training: Sequence[str], conda_file: Path | None = None) -> None:
    """Prints warnings, and removes credentials from the git addresses that the SDK would send.

    Raises:
        PreflightError: The job must not be sent; there is a line for each reason.
    """
    report_findings(_job_findings(job, sdk, training, conda_file))
    os.environ.update(clean_addresses(job.source_directory, os.environ))


def check_resumed_job(job: Job, sdk: Sdk, training: Sequence[str]) -> None:
    """As ``check_job``, without warnings about what the recorded run has, which nobody has given now.

    Raises:
        PreflightError: The job must not be sent; there is a line for each reason.
    """
    findings = [
        *check_compute_name(job.compute),
        *sdk.findings(job),
        *check_environment(job),
        *check_folder(job.source_directory, sdk, training),
    ]
    report_findings([*findings, *check_addresses(job.source_directory, os.environ)])
    os.environ.update(clean_addresses(job.source_directory, os.environ))


def _job_findings(job: Job, sdk: Sdk, training: Sequence[str], conda_file: Path | None) -> Iterator[Finding]:
    yield from check_experiment_name(job.experiment)
    yield from check_compute_name(job.compute)
    yield from sdk.findings(job)
    yield from check_shm_size(job.shared_memory)
    yield from check_variables(job.environment_variables)
    if isinstance(job.environment, BuiltEnvironment) and job.environment.image:
        yield from check_image(job.environment.image)
    if conda_file:
        yield from check_conda_file(conda_file)
    yield from check_environment(job)
    yield from _about_data(job, training)
    yield from _about_program(job)
    yield from check_folder(job.source_directory, sdk, training)
    yield from check_addresses(job.source_directory, os.environ)


def _about_program(job: Job) -> Iterator[Finding]:
    """Where the job gets the program from, if not from its snapshot."""
    if program.is_in(job.source_directory):
        return
    conda = job.environment.conda if isinstance(job.environment, BuiltEnvironment) else None
    if program.DISTRIBUTION in (conda or ""):
        yield note(f"the job's environment installs {program.requirement()}; the snapshot has only your own modules")
    else:
        yield warning(
            f"{str(job.source_directory)!r} has no 'lightning_app', so the job's environment must have "
            f"{program.requirement()}"
        )


def _about_data(job: Job, training: Sequence[str]) -> Iterator[Finding]:
    if job.data is None and trains_on_generated_images(job.source_directory, training):
        yield warning(
            "--dataset isn't given: the job trains on generated images, as a trial; give --dataset for real ones"
        )
