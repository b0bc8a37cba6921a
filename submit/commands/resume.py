"""``python -m submit resume``: a new run that goes on from what another one has left."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from submit.commands.run_flags import add_run
from submit.failures import status_of

if TYPE_CHECKING:
    from azureml.core import Run

    from submit.job import Job

TAKES_TRAINING_FLAGS = True
_LAST = "outputs/checkpoints/last.ckpt"
_EPILOG = """\
The new run has the command, compute, nodes, data and environment of the other one, and goes on from its last
checkpoint. All other flags are those of python -m lightning_app.fit, and count instead of those that it had:
a run that has finished its epochs needs a higher --num_epochs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument(
        "--source_directory", type=Path, default=Path(), metavar="DIR", help="what is sent along (default: this folder)"
    )
    parser.add_argument("--wait", action="store_true", help="follow the run; its exit status is this program's")
    parser.set_defaults(conda_file=None)  # which preflight looks at


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """0 when the job is sent; with ``--wait`` what has become of it."""
    return status_of(lambda: _resume(options, training), "the job may be sent; python -m submit list shows it")


def _resume(options: argparse.Namespace, training: Sequence[str]) -> int:
    from submit.checks import check
    from submit.runs.find import find_run
    from submit.runs.wait import wait
    from submit.submission import send
    from submit.training_flags import check_training_flags

    before = find_run(options.run_id, options.workspace)
    job = _job(before, options.source_directory, training)
    check(job, options, training)
    check_training_flags(training, job.source_directory)
    sent = send(job, before.experiment.workspace)
    print(f"Run {sent.id}\n{sent.get_portal_url()}", flush=True)
    return wait(sent) if options.wait else 0


def _job(before: "Run", folder: Path, training: Sequence[str]) -> "Job":
    from submit.errors import SubmitError
    from submit.runs import artifacts
    from submit.runs.facts import ENDED
    from submit.runs.patience import asking
    from submit.runs.recorded import resumed_job

    with asking(f"run {before.id}"):
        details = before.get_details()
        names = artifacts.paths(before)
    if details["status"] not in ENDED:
        raise SubmitError(f"run {before.id} is {details['status']}; it can be gone on from when it has ended")
    if _LAST not in names:
        raise SubmitError(f"run {before.id} has no {_LAST}, from which a training could go on")
    outputs = artifacts.place(before, "outputs")
    return resumed_job(details.get("runDefinition") or {}, before.experiment.name, folder, outputs, training)
