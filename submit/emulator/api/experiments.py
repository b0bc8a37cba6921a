"""Experiments and the lists of their runs."""

import re
from collections.abc import Callable
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api.run_history import run_content
from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.state import Run, State
from submit.emulator.workspace import experiment_id

PAGE = 100  # runs, where the client leaves it open
_EQUAL = re.compile(r'\(?(?P<what>[\w/.\-]+) eq "?(?P<value>.*?)"?\)?')
_THERE = re.compile(r"\(?(?P<what>[\w/.\-]+) ne null or (?P=what) eq null\)?")
_TYPE = re.compile(r"\(?RunType eq (?P<value>\S+) or Properties/azureml.runsource eq (?P=value)\)?")


def get_experiment(state: State, call: Request, parameters: Parameters) -> Response:
    return json_response(_experiment(state, _known(state, parameters["experiment"])))


def create_experiment(state: State, call: Request, parameters: Parameters) -> Response:
    state.experiments.setdefault(parameters["experiment"], datetimes.now())
    return json_response(_experiment(state, parameters["experiment"]))


def list_experiments(state: State, call: Request, parameters: Parameters) -> Response:
    return json_response({"value": [_experiment(state, name) for name in state.experiments], "continuationToken": None})


def list_runs(state: State, call: Request, parameters: Parameters) -> Response:
    """A page of those that the client's filter lets through, the last one to start first."""
    asked = call.json()
    name = _known(state, parameters["experiment"])
    clauses = [_clause(text) for text in _clauses(asked.get("filter") or "")]
    runs = [run for run in state.runs.values() if run.experiment == name and all(clause(run) for clause in clauses)]
    runs.sort(key=lambda run: (run.started or run.created, run.number), reverse=True)
    begin = int(asked.get("continuationToken") or 0)
    end = begin + (asked.get("top") or PAGE)
    token = str(end) if end < len(runs) else None
    return json_response({"value": [run_content(state, run) for run in runs[begin:end]], "continuationToken": token})


def _known(state: State, name_or_id: str) -> str:
    for name in state.experiments:
        if name_or_id in (name, experiment_id(name)):
            return name
    raise ApiError(404, "NotFound", f"there is no experiment {name_or_id!r}")


def _experiment(state: State, name: str) -> dict[str, Any]:
    created = datetimes.to_iso(state.experiments[name])
    return {"experimentId": experiment_id(name), "name": name, "createdUtc": created, "tags": {}}


def _clauses(text: str) -> list[str]:
    """Of a conjunction as the client writes it: (A and (B) and (C)), or one clause."""
    inner = text[1:-1] if text.startswith("((") else text
    return [clause for clause in inner.split(" and ") if clause]


def _clause(text: str) -> Callable[[Run], bool]:
    if kind := _TYPE.fullmatch(text):
        expected = kind["value"]
        return lambda run: run.type == expected
    if there := _THERE.fullmatch(text):
        name = there["what"]
        return lambda run: _has(run, name)
    if equal := _EQUAL.fullmatch(text):
        what, value = equal.groups()
        return lambda run: _value(run, what) == (None if value == "null" else value)
    raise ApiError(400, "BadArgument", f"this rehearsal doesn't know the filter {text!r}")


def _has(run: Run, what: str) -> bool:
    kind, _, name = what.partition("/")
    return name in (run.tags if kind == "Tags" else run.properties)


def _value(run: Run, what: str) -> str | None:
    kind, _, name = what.partition("/")
    if name:
        return (run.tags if kind == "Tags" else run.properties).get(name)
    return {"Status": run.status, "Target": run.target, "RunId": run.id}.get(kind)  # and nobody is anybody's child
