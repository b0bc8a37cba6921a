"""``python -m submit cancel``: cancels a run."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_run, find_run
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _cancel(options), "python -m submit status shows whether the run is canceled")


def _cancel(options: argparse.Namespace) -> int:
    """Returns 0 also for a run that has ended, because that is what the user wants."""
    from submit.runs.retry import service_errors
    from submit.runs.run_info import ENDED

    run = find_run(options)
    with service_errors(f"run {run.id}"):
        status = run.status()
        if status not in ENDED:
            run.cancel()
    print(f"{run.id} has already ended: {status}." if status in ENDED else f"{run.id} is being canceled.")
    return 0
