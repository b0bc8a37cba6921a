"""``python -m submit status``: shows the status of a run."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from submit.commands.flags import add_json, add_run, find_run
from submit.errors import exit_status

if TYPE_CHECKING:
    from submit.runs.run_info import RunInfo

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _show(options), "nothing was changed")


def _show(options: argparse.Namespace) -> int:
    from submit.runs.retry import service_errors
    from submit.runs.table import format_table, to_json

    run = find_run(options)
    with service_errors(f"run {run.id}"):
        info = run.info()
    print(to_json(_content(info)) if options.json else format_table(_rows(info)))
    return 0


def _content(info: "RunInfo") -> dict[str, Any]:
    return {
        "run": info.run_id,
        "experiment": info.experiment,
        "status": info.status,
        "error": info.error,
        "started": info.started,
        "ended": info.ended,
        "duration_seconds": info.duration,
        "compute": info.compute,
        "nodes": info.nodes,
        "processes_per_node": info.processes_per_node,
        "portal": info.portal,
        "metrics": info.metrics,
    }


def _rows(info: "RunInfo") -> list[tuple[str, object]]:
    shape = f"{info.nodes} x {info.processes_per_node}" if info.nodes else None
    rows: list[tuple[str, object]] = [
        ("run", info.run_id),
        ("experiment", info.experiment),
        ("status", info.status),
        ("started", info.started),
        ("duration", info.duration),
        ("compute", info.compute),
        ("nodes x processes", shape),
        ("portal", info.portal),
    ]
    if info.error:
        rows.insert(3, ("error", info.error))
    return rows + [(f"metric {name}", value) for name, value in info.metrics.items()]
