"""``python -m submit run``: a training on an Azure ML cluster."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_job_flags
from submit.submission import prepare_job

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    parser.add_argument("--wait", action="store_true", help="follow the run; its exit status is this program's")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """0 when the job is sent; with ``--wait`` what has become of it."""
    job = prepare_job(options, training)
    if job is None:
        return 0
    from submit.submission import send_job
    from submit.workspace import open_workspace

    sent = send_job(job, open_workspace(options.workspace))
    print(f"Run {sent.id}\n{sent.get_portal_url()}", flush=True)
    if options.wait:
        from submit.runs.logs import wait_for_run

        return wait_for_run(sent)
    return 0
