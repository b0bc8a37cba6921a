"""``python -m submit status``: how a run is doing."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from submit.commands.run_flags import add_json, add_run
from submit.failures import status_of

if TYPE_CHECKING:
    from submit.runs.facts import Facts

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return status_of(lambda: _show(options), "nothing was changed")


def _show(options: argparse.Namespace) -> int:
    from submit.runs.facts import facts_of
    from submit.runs.find import find_run
    from submit.runs.table import as_json, table

    facts = facts_of(find_run(options.run_id, options.workspace))
    print(as_json(_content(facts)) if options.json else table(_rows(facts)))
    return 0


def _content(facts: "Facts") -> dict[str, Any]:
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


def _rows(facts: "Facts") -> list[tuple[str, object]]:
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
