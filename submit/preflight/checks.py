"""All checks of a job and its snapshot before anything is sent."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from submit.job import BuiltEnvironment, Job
from submit.preflight import secrets, snapshot_checks, training_files
from submit.preflight.findings import Finding, error, report_findings
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


def check_snapshot(snapshot: Snapshot, arguments: Sequence[str] = ()) -> list[Finding]:
    """Findings on what would be uploaded for a training command with these arguments, errors first."""
    if snapshot.impossible:
        return snapshot_checks.check_impossible(snapshot)  # the rest isn't known then
    findings = [*_as_a_whole(snapshot), *_unwanted(snapshot, arguments), *_needed(snapshot, arguments)]
    return sorted(findings, key=lambda finding: finding.level)


def check_folder(folder: Path, arguments: Sequence[str] = ()) -> list[Finding]:
    if not folder.is_dir():
        return [error(f"snapshot: {str(folder)!r} is no folder; expected the one with the project in it")]
    return check_snapshot(Snapshot.of(folder), arguments)


def _as_a_whole(snapshot: Snapshot) -> list[Finding]:
    checks = (
        snapshot_checks.check_size,
        snapshot_checks.check_count,
        snapshot_checks.check_emptiness,
        snapshot_checks.check_readable,
    )
    more = (
        snapshot_checks.check_links,
        snapshot_checks.check_ignore_file,
        snapshot_checks.check_nested,
        snapshot_checks.check_patterns,
    )
    return [finding for check in (*checks, *more) for finding in check(snapshot)]


def _unwanted(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    things = (
        snapshot_checks.check_git,
        snapshot_checks.check_virtual_environments,
        snapshot_checks.check_runs,
        snapshot_checks.check_caches,
    )
    secret_checks = (secrets.check_secret_names, secrets.check_secret_texts)
    findings = [
        finding for check in (*things, snapshot_checks.check_images, *secret_checks) for finding in check(snapshot)
    ]
    return findings + snapshot_checks.check_checkpoints(snapshot, training_files.named_files(snapshot, arguments))


def _needed(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    return [
        *training_files.check_code(snapshot, arguments),
        *training_files.check_named_files(snapshot, arguments),
    ]


def check_job(job: Job, options: argparse.Namespace, training: Sequence[str]) -> None:
    """Tells of what may be meant otherwise, and cleans the addresses that azureml-core would send along.

    Raises:
        PreflightError: The job must not be sent; it has a line for each reason.
    """
    report_findings(_job_findings(job, options, training))
    os.environ.update(clean_addresses(job.source_directory, os.environ))


def _job_findings(job: Job, options: argparse.Namespace, training: Sequence[str]) -> Iterator[Finding]:
    yield from check_experiment_name(job.experiment)
    yield from check_compute_name(job.compute)
    yield from check_shm_size(job.shared_memory)
    yield from check_variables(job.environment_variables)
    if isinstance(job.environment, BuiltEnvironment) and job.environment.image:
        yield from check_image(job.environment.image)
    if options.conda_file:
        yield from check_conda_file(options.conda_file)
    yield from check_folder(job.source_directory, training)
    yield from check_addresses(job.source_directory, os.environ)
