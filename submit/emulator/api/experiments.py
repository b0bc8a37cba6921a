"""Experiments and the lists of their runs."""

import re
from collections.abc import Callable
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api.run_history import run_content
from submit.emulator.auth import Parameters, for_job_or_user, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State
from submit.emulator.workspace import SCOPE, experiment_id

PAGE = 100  # runs, unless the client says how many
_EQUAL = re.compile(r'\(?(?P<what>[\w/.\-]+) eq "?(?P<value>.*?)"?\)?')
_UNEQUAL = re.compile(r'\(?(?P<what>[\w/.\-]+) ne "?(?P<value>.*?)"?\)?')
_THERE = re.compile(r"\(?(?P<what>[\w/.\-]+) ne null or (?P=what) eq null\)?")
_TYPE = re.compile(r"\(?RunType eq (?P<value>\S+) or Properties/azureml.runsource eq (?P=value)\)?")


def get_experiment(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_experiment(state, _known(state, parameters["experiment"])))


def create_experiment(state: State, request: Request, parameters: Parameters) -> Response:
    state.experiments.setdefault(parameters["experiment"], datetimes.now())
    return json_response(_experiment(state, parameters["experiment"]))


def patch_experiment(state: State, request: Request, parameters: Parameters) -> Response:
    """Adds tags."""
    name = _known(state, parameters["experiment"])
    state.experiment_tags.setdefault(name, {}).update(request.json().get("tags") or {})
    return json_response(_experiment(state, name))


def delete_tags(state: State, request: Request, parameters: Parameters) -> Response:
    name = _known(state, parameters["experiment"])
    for tag in request.json()["tags"]:
        state.experiment_tags.get(name, {}).pop(tag, None)
    return json_response({"errors": {}})


def list_experiments(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response({"value": [_experiment(state, name) for name in state.experiments], "continuationToken": None})


def list_runs(state: State, request: Request, parameters: Parameters) -> Response:
    """A page of the runs that match the client's filter, the last started first."""
    body = request.json()
    name = _known(state, parameters["experiment"])
    clauses = [_clause(state, text) for text in _clauses(body.get("filter") or "")]
    runs = [run for run in state.runs.values() if run.experiment == name and all(clause(run) for clause in clauses)]
    runs.sort(key=lambda run: (run.started or run.created, run.number), reverse=True)
    begin = int(body.get("continuationToken") or 0)
    end = begin + (body.get("top") or PAGE)
    token = str(end) if end < len(runs) else None
    return json_response({"value": [run_content(state, run) for run in runs[begin:end]], "continuationToken": token})


def _known(state: State, name_or_id: str) -> str:
    for name in state.experiments:
        if name_or_id in (name, experiment_id(name)):
            return name
    raise ApiError(404, "NotFound", f"there is no experiment {name_or_id!r}")


def _experiment(state: State, name: str) -> dict[str, Any]:
    created, tags = datetimes.to_iso(state.experiments[name]), state.experiment_tags.get(name, {})
    return {"experimentId": experiment_id(name), "name": name, "createdUtc": created, "tags": tags}


def _clauses(text: str) -> list[str]:
    """The clauses of a filter as the client writes it: (A and (B) and (C)), or one clause."""
    inner = text[1:-1] if text.startswith("((") else text
    return [clause for clause in inner.split(" and ") if clause]


def _clause(state: State, text: str) -> Callable[[Run], bool]:
    if kind := _TYPE.fullmatch(text):
        expected = kind["value"]
        return lambda run: run.type == expected
    if there := _THERE.fullmatch(text):
        name = there["what"]
        return lambda run: _has(run, name)
    if unequal := _UNEQUAL.fullmatch(text):
        what, value = unequal.groups()
        return lambda run: _value(state, run, what) != value
    if equal := _EQUAL.fullmatch(text):
        what, value = equal.groups()
        return lambda run: _value(state, run, what) == (None if value == "null" else value)
    raise ApiError(400, "BadArgument", f"the emulator doesn't know the filter {text!r}")


def _has(run: Run, what: str) -> bool:
    kind, _, name = what.partition("/")
    return name in (run.tags if kind == "Tags" else run.properties)


def _value(state: State, run: Run, what: str) -> str | None:
    kind, _, name = what.partition("/")
    if name:
        return (run.tags if kind == "Tags" else run.properties).get(name)
    if kind == "RootRunId":
        return state.root_of(run).id
    return {"Status": run.status, "Target": run.target, "RunId": run.id, "ParentRunId": run.parent}.get(kind)


_EXPERIMENT = f"/history/v1.0{SCOPE}/experiments/{{experiment}}"
_RUN_HISTORY = f"/history/v1.0{SCOPE}"
ROUTES = (
    Route("GET", _EXPERIMENT, for_job_or_user(get_experiment)),
    Route("POST", f"{_RUN_HISTORY}/experiments/{{experiment}}", for_user(create_experiment)),
    Route("POST", f"{_RUN_HISTORY}/experiments:query", for_user(list_experiments)),
    Route("POST", f"{_RUN_HISTORY}/experiments/{{experiment}}/runs:query", for_user(list_runs)),
    Route("GET", f"{_RUN_HISTORY}/experimentids/{{experiment}}", for_job_or_user(get_experiment)),
    Route("PATCH", f"{_RUN_HISTORY}/experimentids/{{experiment}}", for_user(patch_experiment)),
    Route("DELETE", f"{_RUN_HISTORY}/experimentids/{{experiment}}/tags", for_user(delete_tags)),
)
