"""``python -m submit run``: sends a training to an Azure ML cluster."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_job_flags, job_options
from submit.prices import read_prices
from submit.sdk import choose_sdk, describe_choice
from submit.submission import cost_without_workspace, prepare_job, send_checked, show_request

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    parser.add_argument("--wait", action="store_true", help="follow the run and exit with its status")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the job is sent, and with ``--wait`` the exit status of the run."""
    sdk, chosen = choose_sdk(options.sdk), describe_choice(options.sdk)
    prices = read_prices(options.prices)
    job = prepare_job(job_options(options), sdk, training)
    if options.dry_run:
        show_request(sdk.request(job), chosen, cost_without_workspace(job, prices))
        return 0
    sent = send_checked(job, sdk.open_workspace(options.workspace), prices, chosen)
    if options.wait:
        from submit.runs.logs import wait_for_run

        return wait_for_run(sent)
    return 0
