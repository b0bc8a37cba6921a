"""Metrics: batches of rows in, names and rows out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.auth import Parameters, for_run
from submit.emulator.messages import ApiError, Request, Response, error_content, json_response
from submit.emulator.routing import Route
from submit.emulator.state import MetricRow, Run, State
from submit.emulator.workspace import SCOPE

PAGE = 1000  # rows


@dataclass(frozen=True)
class _Metric:
    name: str
    columns: dict[str, str]
    rows: list[MetricRow]
    sent: dict[str, Any]


def post_batch(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Stores the valid metrics; status 207 reports errors of the others."""
    metrics = _parse_batch(request.json())
    limits.check_batch(sum(len(metric.rows) for metric in metrics))
    errors = []
    for metric in metrics:
        reason = _rejection(state, run, metric)
        if reason is None:
            _store(run, metric)
        else:
            errors.append({"metric": metric.sent, "errorResponse": error_content("UserError", reason)})
    return json_response({"errors": errors}, 207) if errors else json_response({})


def list_names(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """All on one page: azureml-core doesn't ask for a second one, and a run has 50 names at most."""
    names = [{"metricKey": {"namespace": "", "name": name}, "columns": run.columns[name]} for name in run.metrics]
    return json_response({"value": names, "continuationToken": None})


def get_rows(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """A page of one metric's rows, optionally only those created in a time range."""
    body = request.json()
    name = body.get("metricName")
    if name not in run.metrics:
        raise ApiError(404, "NotFound", f"run {run.id} has no metric {name!r}")
    rows = run.metrics[name]
    begin = int(body.get("continuationToken") or 0)
    end = begin + PAGE
    first, last = _to_datetime(body.get("startTime")), _to_datetime(body.get("endTime"))
    page = [row for row in rows[begin:end] if (first or row.created) <= row.created <= (last or row.created)]
    return json_response(
        {
            "dataContainerId": run.container,
            "name": name,
            "columns": run.columns[name],
            "properties": {"uxMetricType": rows[0].kind},
            "value": [_row_content(row) for row in page],
            "continuationToken": str(end) if end < len(rows) else None,
        }
    )


def _parse_batch(batch: Any) -> list[_Metric]:
    try:
        return [_parse_metric(metric) for metric in batch["values"]]
    except (KeyError, TypeError, ValueError, AttributeError) as mistake:
        raise ApiError(400, "BadArgument", f"the body isn't a batch of metrics: {mistake!r}") from mistake


def _parse_metric(metric: dict[str, Any]) -> _Metric:
    kind = metric["properties"]["uxMetricType"]
    rows = [
        MetricRow(row["metricId"], row.get("step"), dict(row["data"]), datetimes.from_iso(row["createdUtc"]), kind)
        for row in metric["value"]
    ]
    return _Metric(str(metric["name"]), dict(metric["columns"]), rows, metric)


def _rejection(state: State, run: Run, metric: _Metric) -> str | None:
    if state.faults.rejects(metric.name):
        return "a fault rejects this metric"
    return next(limits.metric_errors(metric.name, metric.columns, [row.data for row in metric.rows], run.metrics), None)


def _store(run: Run, metric: _Metric) -> None:
    if metric.rows:
        run.metrics.setdefault(metric.name, []).extend(metric.rows)
        run.columns[metric.name] = metric.columns | run.columns.get(metric.name, {})


def _to_datetime(text: str | None) -> datetime | None:
    return None if text is None else datetimes.from_iso(text)


def _row_content(row: MetricRow) -> dict[str, Any]:
    return {"metricId": row.metric_id, "createdUtc": datetimes.to_iso(row.created), "step": row.step, "data": row.data}


_METRIC = f"/metric/v2.0{SCOPE}/runs/{{run}}"
ROUTES = (
    Route("POST", f"{_METRIC}/batch", for_run(post_batch)),
    Route("POST", f"{_METRIC}/list", for_run(list_names)),
    Route("POST", f"{_METRIC}/full", for_run(get_rows)),
)
