"""``python -m submit run``: sends a training to an Azure ML cluster."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_job_flags, job_options
from submit.sdk import choose_sdk
from submit.submission import prepare_job, send_checked

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    parser.add_argument("--wait", action="store_true", help="follow the run and exit with its status")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the job is sent, and with ``--wait`` the exit status of the run."""
    sdk = choose_sdk(options.sdk)
    job = prepare_job(job_options(options), sdk, training, dry_run=options.dry_run)
    if job is None:
        return 0
    sent = send_checked(job, sdk.open_workspace(options.workspace))
    if options.wait:
        from submit.runs.logs import wait_for_run

        return wait_for_run(sent)
    return 0
