"""``python -m submit cancel``: ends a run."""

import argparse
from collections.abc import Sequence

from submit.commands.run_flags import add_run
from submit.failures import status_of

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return status_of(lambda: _cancel(options), "python -m submit status shows whether the run is canceled")


def _cancel(options: argparse.Namespace) -> int:
    """0 as well where the run has ended already: it is what was asked for."""
    from submit.runs.facts import ENDED
    from submit.runs.find import find_run
    from submit.runs.patience import asking

    found = find_run(options.run_id, options.workspace)
    with asking(f"run {found.id}"):
        status = found.get_status()
        if status not in ENDED:
            found.cancel()
    print(f"{found.id} has ended already: {status}." if status in ENDED else f"{found.id} is being canceled.")
    return 0
