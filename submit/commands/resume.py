"""``python -m submit resume``: resumes a run that has ended, as a new run."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from submit.commands.flags import add_prices, add_run
from submit.errors import exit_status

if TYPE_CHECKING:
    from submit.interface import Workspace
    from submit.job import Job

TAKES_TRAINING_FLAGS = True
_EPILOG = """\
The new run has the command, nodes, data and environment of the other run, and
continues from its last checkpoint. All other flags are those of python -m
lightning_app.fit and replace those of the other run. A run that has completed
its epochs needs a higher --num_epochs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument("--compute", metavar="NAME", help="another cluster (default: that of the other run)")
    parser.add_argument(
        "--source_directory",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder to upload (default: this folder)",
    )
    add_prices(parser)
    parser.add_argument("--wait", action="store_true", help="follow the run and exit with its status")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the job is sent, and with ``--wait`` the exit status of the run."""
    return exit_status(lambda: _resume(options, training), "the job may have been sent; python -m submit list shows it")


def _resume(options: argparse.Namespace, training: Sequence[str]) -> int:
    from submit.preflight.checks import check_resumed_job
    from submit.prices import read_prices
    from submit.runs.logs import wait_for_run
    from submit.sdk import choose_sdk, describe_choice
    from submit.submission import send_checked
    from submit.training_flags import check_training_flags

    sdk, chosen = choose_sdk(options.sdk), describe_choice(options.sdk)
    prices = read_prices(options.prices)
    workspace = sdk.open_workspace(options.workspace)
    job = _job(workspace, options.run_id, options.source_directory, training)
    if options.compute is not None:
        job = replace(job, compute=options.compute)
    check_resumed_job(job, sdk, training)
    check_training_flags(training, job.source_directory)
    sent = send_checked(job, workspace, prices, chosen)
    return wait_for_run(sent) if options.wait else 0


def _job(workspace: "Workspace", run_id: str, folder: Path, training: Sequence[str]) -> "Job":
    from submit.errors import SubmitError
    from submit.resuming import require_more_training
    from submit.runs.continuing import place_to_continue
    from submit.runs.retry import service_errors
    from submit.runs.run_info import ENDED

    before = workspace.find_run(run_id)
    with service_errors(f"run {before.id}"):
        status = before.status()
        if status not in ENDED:
            raise SubmitError(f"run {before.id} is {status}; it can be resumed when it has ended")
        place = place_to_continue(workspace, before)
        job = before.resumed(folder, training, place)
        if status == "Completed":
            require_more_training(before.id, before.command(), training)
        is_copied = place == before.checkpoints()
    if is_copied:
        print(
            f"note: it continues from the copies in {place.path}, which have more steps than the outputs",
            file=sys.stderr,
        )
    return job
