"""Experiments and the lists of their runs."""

import re
from collections.abc import Callable
from typing import Any

from submit.rehearsal import times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.history import run_content
from submit.rehearsal.runs import Run
from submit.rehearsal.state import State
from submit.rehearsal.workspace import experiment_id

PAGE = 100  # runs, where the client leaves it open
_EQUAL = re.compile(r'\(?(?P<what>[\w/.\-]+) eq "?(?P<value>.*?)"?\)?')
_THERE = re.compile(r"\(?(?P<what>[\w/.\-]+) ne null or (?P=what) eq null\)?")
_TYPE = re.compile(r"\(?RunType eq (?P<value>\S+) or Properties/azureml.runsource eq (?P=value)\)?")


def get_experiment(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer(_experiment(state, _known(state, parameters["experiment"])))


def create_experiment(state: State, call: Call, parameters: Parameters) -> Answer:
    state.experiments.setdefault(parameters["experiment"], times.now())
    return json_answer(_experiment(state, parameters["experiment"]))


def list_experiments(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer({"value": [_experiment(state, name) for name in state.experiments], "continuationToken": None})


def list_runs(state: State, call: Call, parameters: Parameters) -> Answer:
    """A page of those that the client's filter lets through, the last one to start first."""
    asked = call.json()
    name = _known(state, parameters["experiment"])
    clauses = [_clause(text) for text in _clauses(asked.get("filter") or "")]
    runs = [run for run in state.runs.values() if run.experiment == name and all(clause(run) for clause in clauses)]
    runs.sort(key=lambda run: (run.started or run.created, run.number), reverse=True)
    begin = int(asked.get("continuationToken") or 0)
    end = begin + (asked.get("top") or PAGE)
    token = str(end) if end < len(runs) else None
    return json_answer({"value": [run_content(state, run) for run in runs[begin:end]], "continuationToken": token})


def _known(state: State, name_or_id: str) -> str:
    for name in state.experiments:
        if name_or_id in (name, experiment_id(name)):
            return name
    raise RefusalError(404, "NotFound", f"there is no experiment {name_or_id!r}")


def _experiment(state: State, name: str) -> dict[str, Any]:
    created = times.wire(state.experiments[name])
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
    raise RefusalError(400, "BadArgument", f"this rehearsal doesn't know the filter {text!r}")


def _has(run: Run, what: str) -> bool:
    kind, _, name = what.partition("/")
    return name in (run.tags if kind == "Tags" else run.properties)


def _value(run: Run, what: str) -> str | None:
    kind, _, name = what.partition("/")
    if name:
        return (run.tags if kind == "Tags" else run.properties).get(name)
    return {"Status": run.status, "Target": run.target, "RunId": run.id}.get(kind)  # and nobody is anybody's child
