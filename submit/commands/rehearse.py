"""``python -m submit rehearse``: runs the whole job on this machine."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import add_job_flags, count, job_options, seconds
from submit.errors import SubmitError
from submit.execution.comparison import differences
from submit.execution.eviction_plan import OUTCOMES, Evictions, Outcome, PlannedEviction
from submit.job import SERVERLESS
from submit.sdk import choose_sdk, describe_choice
from submit.submission import prepare_job, show_request

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
    _add_evictions(parser)


def _add_evictions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("evictions, as on a low-priority cluster")
    group.add_argument(
        "--evict",
        type=_evictions,
        metavar="WHEN[,WHEN...]",
        help="Azure takes the first node away, and starts the job again: at an optimizer step such as 50, or some "
        "time after the job's start such as 30s; with :lost or :withdrawn after it, another outcome",
    )
    group.add_argument(
        "--evict_disk",
        choices=("kept", "lost"),
        default="kept",
        help="whether outputs and logs are on the next node (default: kept)",
    )
    group.add_argument(
        "--evict_notice",
        type=seconds,
        default=5,
        metavar="TIME",
        help="how long before its end it is announced (default: 5s; Azure: 30s or more)",
    )
    group.add_argument(
        "--no_comparison",
        action="store_true",
        help="don't run the job a second time without evictions, to compare the results",
    )


def _evictions(text: str) -> list[tuple[int, bool, Outcome | None]]:
    """When, whether that is a step, and the outcome, None for that of --evict_disk."""
    return [_eviction(item) for item in text.split(",")]


def _eviction(item: str) -> tuple[int, bool, Outcome | None]:
    when, colon, outcome = item.partition(":")
    given = next((known for known in OUTCOMES if known == outcome), None)
    try:
        if (given is None) == bool(colon):
            raise argparse.ArgumentTypeError
        return (int(when), True, given) if when.isdecimal() else (seconds(when), False, given)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{item!r} given; expected a step such as 50 or a time such as 30s, and then nothing, :kept, :lost or "
            ":withdrawn"
        ) from None


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns the job's exit status; 1 if it is completed with another result than without evictions."""
    from submit.execution.rehearse import format_report, rehearse, require_extra
    from submit.execution.verdict import format_verdict

    require_extra()
    sdk = choose_sdk(options.sdk)
    job = prepare_job(job_options(options), sdk, training)
    if options.dry_run:
        show_request(sdk.request(job), describe_choice(options.sdk))
        return 0
    evictions = _planned(options)
    if evictions is not None and job.compute == SERVERLESS and not job.low_priority:
        raise SubmitError(
            f"--evict: Azure takes only low-priority nodes away; with --compute {SERVERLESS} give --low_priority"
        )
    undisturbed = None
    if evictions is not None and not options.no_comparison:
        print("First the job without evictions, to compare the results.", flush=True)
        undisturbed = rehearse(job, sdk, options.rehearsal_data, options.timeout, _show)
        if undisturbed.status:
            print(f"\n{format_report(undisturbed)}\n\n{format_verdict(undisturbed, job, options.arguments)}")
            return undisturbed.status
    print(f"Rehearsing {' '.join(job.command)}", flush=True)
    rehearsal = rehearse(job, sdk, options.rehearsal_data, options.timeout, _show, evictions)
    found = [] if undisturbed is None else differences(undisturbed.run, rehearsal.run, job.source_directory)
    print(f"\n{format_report(rehearsal)}\n\n{format_verdict(rehearsal, job, options.arguments, undisturbed, found)}")
    return rehearsal.status or int(bool(found))


def _show(line: str) -> None:
    print(f"  {line}", flush=True)


def _planned(options: argparse.Namespace) -> Evictions | None:
    if options.evict is None:
        return None
    planned = [PlannedEviction(at, is_step, given or options.evict_disk) for at, is_step, given in options.evict]
    return Evictions(planned, options.evict_notice)
