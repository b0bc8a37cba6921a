"""``python -m submit run``: a training on an Azure ML cluster."""

import argparse
from collections.abc import Sequence

from submit.checks import check
from submit.commands.job_flags import add_job_flags
from submit.describe import describe
from submit.dry_run import show
from submit.training_flags import check_training_flags

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    parser.add_argument("--wait", action="store_true", help="follow the run; its exit status is this program's")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """0 when the job is sent; with ``--wait`` what has become of it."""
    job = describe(options, training)
    check(job, options, training)
    if options.dry_run:
        show(job)
        return 0
    check_training_flags(training, job.source_directory)
    from submit.submission import send
    from submit.workspace import open_workspace

    sent = send(job, open_workspace(options.workspace))
    print(f"Run {sent.id}\n{sent.get_portal_url()}", flush=True)
    if options.wait:
        from submit.runs.wait import wait

        return wait(sent)
    return 0
