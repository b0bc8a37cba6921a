"""Metrics: batches of rows in, names and rows out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from submit.rehearsal import limits, times
from submit.rehearsal.answers import Answer, RefusalError, error, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.runs import MetricRow, Run
from submit.rehearsal.state import State

PAGE = 1000  # rows


@dataclass(frozen=True)
class _Metric:
    name: str
    columns: dict[str, str]
    rows: list[MetricRow]
    sent: dict[str, Any]


def post_batch(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Stores the metrics that nothing is wrong with; 207 tells what is wrong with the others."""
    metrics = _parse_batch(call.json())
    limits.check_batch(sum(len(metric.rows) for metric in metrics))
    errors = []
    for metric in metrics:
        complaint = _complaint(state, run, metric)
        if complaint is None:
            _store(run, metric)
        else:
            errors.append({"metric": metric.sent, "errorResponse": error("UserError", complaint)})
    return json_answer({"errors": errors}, 207) if errors else json_answer({})


def list_names(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """All on one page: azureml-core doesn't send the token for a second one, and there are no more than 50."""
    names = [{"metricKey": {"namespace": "", "name": name}, "columns": run.columns[name]} for name in run.metrics]
    return json_answer({"value": names, "continuationToken": None})


def get_rows(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """A page of one metric's rows, of those created between two moments if such are given."""
    asked = call.json()
    name = asked.get("metricName")
    if name not in run.metrics:
        raise RefusalError(404, "NotFound", f"run {run.id} has no metric {name!r}")
    rows = run.metrics[name]
    begin = int(asked.get("continuationToken") or 0)
    end = begin + PAGE
    first, last = _moment(asked.get("startTime")), _moment(asked.get("endTime"))
    page = [row for row in rows[begin:end] if (first or row.created) <= row.created <= (last or row.created)]
    return json_answer(
        {
            "dataContainerId": run.container,
            "name": name,
            "columns": run.columns[name],
            "properties": {"uxMetricType": rows[0].kind},
            "value": [_wire(row) for row in page],
            "continuationToken": str(end) if end < len(rows) else None,
        }
    )


def _parse_batch(batch: Any) -> list[_Metric]:
    try:
        return [_parse_metric(metric) for metric in batch["values"]]
    except (KeyError, TypeError, ValueError, AttributeError) as mistake:
        raise RefusalError(400, "BadArgument", f"the body isn't a batch of metrics: {mistake!r}") from mistake


def _parse_metric(metric: dict[str, Any]) -> _Metric:
    kind = metric["properties"]["uxMetricType"]
    rows = [
        MetricRow(row["metricId"], row.get("step"), dict(row["data"]), times.parse(row["createdUtc"]), kind)
        for row in metric["value"]
    ]
    return _Metric(str(metric["name"]), dict(metric["columns"]), rows, metric)


def _complaint(state: State, run: Run, metric: _Metric) -> str | None:
    if state.faults.rejects(metric.name):
        return "a rejection was ordered for this metric"
    return next(limits.about_metric(metric.name, metric.columns, [row.data for row in metric.rows], run.metrics), None)


def _store(run: Run, metric: _Metric) -> None:
    if metric.rows:
        run.metrics.setdefault(metric.name, []).extend(metric.rows)
        run.columns[metric.name] = metric.columns | run.columns.get(metric.name, {})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else times.parse(text)


def _wire(row: MetricRow) -> dict[str, Any]:
    return {"metricId": row.metric_id, "createdUtc": times.wire(row.created), "step": row.step, "data": row.data}
