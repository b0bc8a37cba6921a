"""``python -m submit rehearse``: the whole job on this machine."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import add_job_flags, count, seconds
from submit.submission import prepare_job

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    group = parser.add_argument_group("rehearsal")
    group.add_argument("--limit", type=count, metavar="N", help="batches of each kind and epoch (default: all)")
    group.add_argument(
        "--rehearsal_data",
        type=Path,
        metavar="DIR",
        help="the folder here that stands for --dataset, mounted read-only",
    )
    group.add_argument(
        "--timeout", type=seconds, default=3600, metavar="TIME", help="the job is ended after that (default: 1h)"
    )


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """The job's own exit status."""
    job = prepare_job(options, training)
    if job is None:
        return 0
    from submit.execution.rehearse import format_report, rehearse

    print(f"Rehearsing {' '.join(job.command)}", flush=True)
    rehearsal = rehearse(job, options.rehearsal_data, options.timeout, lambda line: print(f"  {line}", flush=True))
    print(f"\n{format_report(rehearsal)}")
    return rehearsal.status
