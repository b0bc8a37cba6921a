"""The emulator's own interface: its state, metrics, fault injection and evictions."""

import inspect
from collections.abc import Callable
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api import metadata
from submit.emulator.auth import Parameters
from submit.emulator.faults import Fault
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import MetricRow, Run, State

PATH = "/emulator/"
_YEAR = 365 * 86400
KINDS = ("slow", "status", "drop", "silence", "reject_metric", "quota")


def get_state(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(
        {
            "runs": {run.id: _summary(run) for run in state.runs.values()},
            "jobs": [job.run_id for job in state.jobs],
            "computes": list(state.computes),
            "models": [f"{model.name}:{model.version}" for model in state.models],
            "requests": len(state.requests),
            "unknown": state.unknown,
        }
    )


def get_metrics(state: State, request: Request, parameters: Parameters) -> Response:
    run = state.runs.get(parameters["run"])
    if run is None:
        raise ApiError(404, "NotFound", f"there is no run {parameters['run']!r}; there are {sorted(state.runs)}")
    return json_response({name: [_row(row) for row in rows] for name, rows in run.metrics.items()})


def post_fault(state: State, request: Request, parameters: Parameters) -> Response:
    state.faults.inject(_fault(request.json()))
    return json_response({})


def delete_faults(state: State, request: Request, parameters: Parameters) -> Response:
    state.faults.clear()
    return json_response({})


def post_eviction(state: State, request: Request, parameters: Parameters) -> Response:
    body = request.json()
    nodes, seconds = _setting(body, "nodes", None), _setting(body, "seconds", 30)
    if not (isinstance(nodes, list) and nodes and all(isinstance(node, str) for node in nodes)):
        raise ApiError(400, "BadArgument", 'expected {"nodes": ["node0"], "seconds": 30}')
    if type(seconds) not in (int, float) or not 0 <= seconds < _YEAR:
        raise ApiError(400, "BadArgument", f"seconds is {seconds!r}; expected a number of at least 0")
    disk = _setting(body, "disk", "kept")
    if disk not in ("kept", "lost"):
        raise ApiError(400, "BadArgument", f"disk is {disk!r}; expected kept or lost")
    return json_response({"id": metadata.announce(state, nodes, seconds, disk == "kept")})


def delete_eviction(state: State, request: Request, parameters: Parameters) -> Response:
    try:
        metadata.withdraw(state, parameters["eviction"])
    except KeyError as error:
        raise ApiError(404, "NotFound", f"there is no eviction {parameters['eviction']!r}") from error
    return json_response({})


def _setting(body: Any, name: str, default: Any) -> Any:
    return body.get(name, default) if isinstance(body, dict) else None


def _fault(body: Any) -> Fault:
    if not isinstance(body, dict) or body.get("kind") not in KINDS:
        raise ApiError(400, "BadArgument", f'expected {{"kind": KIND, ...}} with KIND one of {", ".join(KINDS)}')
    build = getattr(Fault, body["kind"])
    settings = {name: value for name, value in body.items() if name != "kind"}
    try:
        return _built(build, settings)
    except (TypeError, ValueError) as error:
        expected = ", ".join(map(str, inspect.signature(build).parameters.values()))
        raise ApiError(400, "BadArgument", f"{body['kind']}: {error}; expected {expected}") from error


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
    return {"metricId": row.metric_id, "step": row.step, "data": row.data, "createdUtc": datetimes.to_iso(row.created)}


ROUTES = (
    Route("GET", "/emulator/state", get_state),
    Route("GET", "/emulator/runs/{run}/metrics", get_metrics),
    Route("POST", "/emulator/faults", post_fault),
    Route("DELETE", "/emulator/faults", delete_faults),
    Route("POST", "/emulator/evictions", post_eviction),
    Route("DELETE", "/emulator/evictions/{eviction}", delete_eviction),
)
