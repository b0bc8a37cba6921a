"""Metrics, parameters and tags: ``runs/log-batch`` and its kind, and the history of a metric."""

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.mlflow.handlers import API, body, for_named_run, labels
from submit.emulator.routing import Route
from submit.emulator.state import MetricRow, Run, State

SCALAR = "azureml.v1.scalar"
NAME_LENGTH = 250
LABELS_A_REQUEST = 100
PARAMETERS = 200
PARAMETER_VALUE = 500
PAGE = 1000  # values of a history, unless the client says how many
_BATCH = {"run_id", "run_uuid", "metrics", "params", "tags"}


@dataclass(frozen=True)
class _Batch:
    metrics: list[tuple[str, MetricRow]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def log_batch(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Stores everything, or nothing if something is wrong with a part of it."""
    content = body(request)
    if unknown := content.keys() - _BATCH:
        raise ApiError(400, "BadArgument", f"the emulator doesn't know {sorted(unknown)} of a batch")
    metrics = [_metric(metric) for metric in content.get("metrics") or ()]
    params, tags = labels(content.get("params"), "params"), labels(content.get("tags"), "tags")
    _store(state, run, _Batch(metrics, params, tags))
    return json_response({})


def log_metric(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    _store(state, run, _Batch([_metric(body(request))]))
    return json_response({})


def log_parameter(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    _store(state, run, _Batch(params=labels([body(request)], "the parameter")))
    return json_response({})


def set_tag(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    _store(state, run, _Batch(tags=labels([body(request)], "the tag")))
    return json_response({})


def delete_tag(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    run.tags.pop(str(body(request).get("key")), None)
    return json_response({})


def get_history(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """A page of a metric's values in the order of their arrival; one that the run doesn't have has none."""
    key = request.query.get("metric_key", "")
    rows = [row for row in run.metrics.get(key, ()) if row.kind == SCALAR]
    begin = int(request.query.get("page_token") or 0)
    end = begin + int(request.query.get("max_results") or PAGE)
    token = {"next_page_token": str(end)} if end < len(rows) else {}
    return json_response({"metrics": [metric_content(key, row) for row in rows[begin:end]]} | token)


def metric_content(key: str, row: MetricRow) -> dict[str, Any]:
    """A value as the client reads it."""
    milliseconds = round(row.created.timestamp() * 1000)
    return {"key": key, "value": row.data[key], "timestamp": milliseconds, "step": row.step or 0}


def _metric(content: Mapping[str, Any]) -> tuple[str, MetricRow]:
    try:
        key, value = str(content["key"]), content["value"]
        milliseconds, step = int(content["timestamp"]), int(content.get("step") or 0)
    except (KeyError, TypeError, ValueError) as mistake:
        raise ApiError(400, "BadArgument", f"a metric lacks its key, value or timestamp: {mistake!r}") from mistake
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ApiError(400, "BadArgument", f"the metric {key!r:.100} has the value {value!r:.100}, which is no number")
    created = datetimes.from_timestamp(milliseconds / 1000)
    return key, MetricRow(str(uuid.uuid4()), step, {key: float(value)}, created, SCALAR)


def _store(state: State, run: Run, batch: _Batch) -> None:
    limits.check_batch(len(batch.metrics))
    if max(len(batch.params), len(batch.tags)) > LABELS_A_REQUEST:
        raise ApiError(400, "BadArgument", f"the batch has more than {LABELS_A_REQUEST} parameters or tags")
    _check_names(state, run, dict.fromkeys(key for key, _ in batch.metrics))
    _check_params(run, batch.params)
    tags = run.tags | batch.tags
    limits.check_labels("tags", {key: value for key, value in tags.items() if not key.startswith("mlflow.")})
    run.tags = tags
    run.params |= batch.params
    for key, row in batch.metrics:
        run.metrics.setdefault(key, []).append(row)
        run.columns.setdefault(key, {key: "double"})


def _check_names(state: State, run: Run, keys: Iterable[str]) -> None:
    known = list(run.metrics)
    for key in keys:
        if state.faults.rejects(key):
            raise ApiError(400, "UserError", f"a fault rejects the metric {key!r}")
        if not 0 < len(key) <= NAME_LENGTH:
            raise ApiError(400, "BadArgument", f"a metric's key has {len(key)} characters; {NAME_LENGTH} are allowed")
        if reason := next(limits.metric_errors(key, {}, [], known), None):
            raise ApiError(400, "UserError", reason)
        if key not in known:
            known.append(key)


def _check_params(run: Run, params: dict[str, str]) -> None:
    for key, value in params.items():
        if not 0 < len(key) <= NAME_LENGTH or len(value) > PARAMETER_VALUE:
            raise ApiError(400, "BadArgument", f"the parameter {key!r:.100} is too long: its key or its value")
        if run.params.get(key, value) != value:
            raise ApiError(400, "BadArgument", f"the parameter {key!r} has another value already: {run.params[key]!r}")
    if len(run.params | params) > PARAMETERS:
        raise ApiError(400, "UserError", f"a run has {PARAMETERS} parameters at most")


ROUTES = (
    Route("POST", f"{API}/runs/log-batch", for_named_run(log_batch)),
    Route("POST", f"{API}/runs/log-metric", for_named_run(log_metric)),
    Route("POST", f"{API}/runs/log-parameter", for_named_run(log_parameter)),
    Route("POST", f"{API}/runs/set-tag", for_named_run(set_tag)),
    Route("POST", f"{API}/runs/delete-tag", for_named_run(delete_tag)),
    Route("GET", f"{API}/metrics/get-history", for_named_run(get_history, reads=True)),
)
