"""The job that the flags ask for, checked as far as it can be here."""

import argparse
from collections.abc import Sequence

from submit.checks import check
from submit.describe import describe
from submit.dry_run import show
from submit.job import Job
from submit.training_flags import check_training_flags


def checked_job(options: argparse.Namespace, training: Sequence[str]) -> Job | None:
    """None where ``--dry_run`` has shown it, and there is nothing more to do.

    Raises:
        SubmitError: The job must not be sent.
    """
    job = describe(options, training)
    check(job, options, training)
    if options.dry_run:
        show(job)
        return None
    check_training_flags(training, job.source_directory)  # which takes seconds
    return job
