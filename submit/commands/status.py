"""``python -m submit status``: how a run is doing."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from submit.commands.flags import add_json, add_run
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
    from submit.runs.run_info import find_run, get_run_info
    from submit.runs.table import format_table, to_json

    facts = get_run_info(find_run(options.run_id, options.workspace))
    print(to_json(_content(facts)) if options.json else format_table(_rows(facts)))
    return 0


def _content(facts: "RunInfo") -> dict[str, Any]:
    return {
        "run": facts.run_id,
        "experiment": facts.experiment,
        "status": facts.status,
        "error": facts.error,
        "started": facts.started,
        "ended": facts.ended,
        "duration_seconds": facts.duration,
        "compute": facts.compute,
        "nodes": facts.nodes,
        "processes_per_node": facts.processes_per_node,
        "portal": facts.portal,
        "metrics": facts.metrics,
    }


def _rows(facts: "RunInfo") -> list[tuple[str, object]]:
    shape = f"{facts.nodes} x {facts.processes_per_node}" if facts.nodes else None
    rows: list[tuple[str, object]] = [
        ("run", facts.run_id),
        ("experiment", facts.experiment),
        ("status", facts.status),
        ("started", facts.started),
        ("duration", facts.duration),
        ("compute", facts.compute),
        ("nodes x processes", shape),
        ("portal", facts.portal),
    ]
    if facts.error:
        rows.insert(3, ("error", facts.error))
    return rows + [(f"metric {name}", value) for name, value in facts.metrics.items()]
