"""``python -m submit list``: lists the runs of an experiment or of a sweep."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from submit.commands.flags import add_json, add_workspace, count, open_workspace
from submit.errors import exit_status

if TYPE_CHECKING:
    from submit.runs.run_info import RunSummary

TAKES_TRAINING_FLAGS = False
_HEADINGS = ("RUN", "STATUS", "STARTED", "DURATION", "MODEL")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiment",
        default="lightning-azureml",
        metavar="NAME",
        help="name of the experiment (default: lightning-azureml)",
    )
    parser.add_argument(
        "--sweep", metavar="RUN", help="the runs of this sweep, with hyperparameters and metrics, the best one first"
    )
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="number of newest runs (default: 20)")
    add_workspace(parser)
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _show(options), "nothing was changed")


def _show(options: argparse.Namespace) -> int:
    if options.sweep:
        return _show_sweep(options)
    from submit.runs.table import format_table, to_json

    runs = open_workspace(options).list_runs(options.experiment, options.limit)
    if options.json:
        print(to_json([_content(entry) for entry in runs]))
    elif runs:
        print(format_table([_row(entry) for entry in runs], _HEADINGS))
    else:
        print(f"{options.experiment} has no runs.")
    return 0


def _show_sweep(options: argparse.Namespace) -> int:
    from submit.runs.table import format_table, to_json
    from submit.sweep.children import sweep_result

    result = sweep_result(open_workspace(options).find_run(options.sweep))
    runs = result.runs[: options.limit]
    if options.json:
        print(to_json([asdict(each) for each in runs]))
    elif runs:
        drawn = sorted({name for each in runs for name in each.hyperparameters})
        # a training logs its learning rate as a metric as well
        names = {name for each in runs for name in each.metrics} - {*drawn}
        measured = sorted(names, key=lambda name: (name != result.metric, name))
        rows = [
            (
                *(each.run_id, each.status, each.duration),
                *(each.hyperparameters.get(name) for name in drawn),
                *(each.metrics.get(name) for name in measured),
            )
            for each in runs
        ]
        print(format_table(rows, ("RUN", "STATUS", "DURATION", *drawn, *measured)))
    else:
        print(f"{options.sweep} has no runs yet.")
    return 0


def _content(entry: "RunSummary") -> dict[str, Any]:
    return {
        "run": entry.run_id,
        "status": entry.status,
        "created": entry.created,
        "started": entry.started,
        "ended": entry.ended,
        "duration_seconds": entry.duration,
        "model": entry.model,
        "tags": entry.tags,
    }


def _row(entry: "RunSummary") -> tuple[object, ...]:
    return entry.run_id, entry.status, entry.started, entry.duration, entry.model
