"""``python -m submit rehearse``: runs the whole job on this machine."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import add_job_flags, count, job_options, seconds
from submit.submission import prepare_job

TAKES_TRAINING_FLAGS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    group = parser.add_argument_group("rehearsal")
    group.add_argument(
        "--limit", type=count, metavar="N", help="batches per epoch, for training and evaluation each (default: all)"
    )
    group.add_argument(
        "--rehearsal_data",
        type=Path,
        metavar="DIR",
        help="a folder of this machine in place of --dataset, mounted read-only",
    )
    group.add_argument(
        "--timeout", type=seconds, default=3600, metavar="TIME", help="the job is ended after it (default: 1h)"
    )


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns the job's exit status."""
    from submit.execution.rehearse import format_report, rehearse, require_extra
    from submit.execution.verdict import format_verdict

    require_extra()
    job = prepare_job(job_options(options), training, dry_run=options.dry_run)
    if job is None:
        return 0
    print(f"Rehearsing {' '.join(job.command)}", flush=True)
    rehearsal = rehearse(job, options.rehearsal_data, options.timeout, lambda line: print(f"  {line}", flush=True))
    print(f"\n{format_report(rehearsal)}\n\n{format_verdict(rehearsal, job, options.arguments)}")
    return rehearsal.status
