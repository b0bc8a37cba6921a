"""The rehearsal itself over HTTP, for people and programs in other processes."""

import inspect
from collections.abc import Callable
from typing import Any

from submit.rehearsal import times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.faults import Fault
from submit.rehearsal.runs import MetricRow, Run
from submit.rehearsal.state import State

PATH = "/rehearsal/"
KINDS = ("slow", "status", "drop", "silence", "reject_metric", "quota")


def get_state(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer(
        {
            "runs": {run.id: _summary(run) for run in state.runs.values()},
            "jobs": [job.run_id for job in state.jobs],
            "computes": list(state.computes),
            "models": [f"{model.name}:{model.version}" for model in state.models],
            "requests": len(state.requests),
            "unknown": state.unknown,
        }
    )


def get_metrics(state: State, call: Call, parameters: Parameters) -> Answer:
    run = state.runs.get(parameters["run"])
    if run is None:
        raise RefusalError(404, "NotFound", f"there is no run {parameters['run']!r}; there are {sorted(state.runs)}")
    return json_answer({name: [_row(row) for row in rows] for name, rows in run.metrics.items()})


def post_fault(state: State, call: Call, parameters: Parameters) -> Answer:
    state.faults.order(_fault(call.json()))
    return json_answer({})


def delete_faults(state: State, call: Call, parameters: Parameters) -> Answer:
    state.faults.clear()
    return json_answer({})


def _fault(order: Any) -> Fault:
    if not isinstance(order, dict) or order.get("kind") not in KINDS:
        raise RefusalError(400, "BadArgument", f'expected {{"kind": KIND, ...}} with KIND one of {", ".join(KINDS)}')
    build = getattr(Fault, order["kind"])
    settings = {name: value for name, value in order.items() if name != "kind"}
    try:
        return _built(build, settings)
    except (TypeError, ValueError) as error:
        expected = ", ".join(map(str, inspect.signature(build).parameters.values()))
        raise RefusalError(400, "BadArgument", f"{order['kind']}: {error}; expected {expected}") from error


def _built(build: Callable[..., Fault], settings: dict[str, Any]) -> Fault:
    for name, parameter in inspect.signature(build).parameters.items():
        expected = int | float if parameter.annotation is float else parameter.annotation
        if name in settings and not isinstance(settings[name], expected):
            raise TypeError(f"{name} is {settings[name]!r}")
    return build(**settings)


def _summary(run: Run) -> dict[str, Any]:
    return {
        "experiment": run.experiment,
        "status": run.status,
        "displayName": run.display_name,
        "metrics": {name: len(rows) for name, rows in run.metrics.items()},
        "tags": run.tags,
        "properties": run.properties,
        "artifacts": {path: len(content) for path, content in run.artifacts.items()},
        "events": [event.get("name") for event in run.events],
    }


def _row(row: MetricRow) -> dict[str, Any]:
    return {"metricId": row.metric_id, "step": row.step, "data": row.data, "createdUtc": times.wire(row.created)}
