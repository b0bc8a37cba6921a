"""``python -m submit cancel``: ends a run."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_run
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _cancel(options), "python -m submit status shows whether the run is canceled")


def _cancel(options: argparse.Namespace) -> int:
    """0 as well where the run has ended already: it is what was asked for."""
    from submit.runs.retry import service_errors
    from submit.runs.run_info import ENDED, find_run

    found = find_run(options.run_id, options.workspace)
    with service_errors(f"run {found.id}"):
        status = found.get_status()
        if status not in ENDED:
            found.cancel()
    print(f"{found.id} has ended already: {status}." if status in ENDED else f"{found.id} is being canceled.")
    return 0
