"""What the report shows of the content of runs: charts, tables and facts, ready for the template."""

import heapq
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_app.report.line_chart import Chart, line_chart, short_number
from lightning_app.report.run_content import Run, Series

STAGES = ("train", "val", "test")
STAGE_NAMES = {"train": "training", "val": "validation", "test": "test"}
_FIRST = ("loss", "accuracy", "learning_rate")
_MOST_CHARTS = 24
_MOST_CLASSES = 25  # of a matrix or a table; with more, those that matter most
_MOST_PAIRS = 10
_MOST_TESTED = 4  # metrics of a test without a file of its own
_LARGEST = 1e15  # number in a file that isn't taken for damaged
_INTERVAL = ("above", "to", "images", "confidence", "accuracy")
_MEASURES = {
    "accuracy": "Accuracy",
    "top5_accuracy": "Top-5 accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "calibration_error": "Expected calibration error",
}
_OF_START = ("event", "time", "command", "versions")
_PARTS = ("preparation", "training", "validation", "other", "test")


@dataclass
class Confusion:
    """``rows``: the class, its row of (count, share of the row), or none where there are too many classes."""

    stage: str
    step: int
    classes: list[str]
    rows: list[tuple[str, list[tuple[Any, float]]]]
    pairs: list[tuple[str, str, Any, float]]
    class_count: int


@dataclass
class Results:
    """An evaluation; ``bars`` are the intervals of its calibration."""

    stage: str
    step: Any
    facts: list[tuple[str, str]]
    rows: list[dict[str, Any]]
    left_out: int
    bars: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Start:
    title: str
    time: str
    command: str
    rows: list[tuple[str, str]]


@dataclass
class RunView:
    name: str
    style: int
    facts: list[tuple[str, str]]
    parts: list[tuple[str, float, str]]
    parts_note: str
    results: list[Results]
    confusions: list[Confusion]
    pictures: Mapping[str, str]
    starts: list[Start]
    settings: Mapping[str, str]
    notes: list[str]


def run_view(run: Run, style: int = 0) -> RunView:
    parts, note = _time(run)
    results = _results(run), _confusions(run), run.pictures
    return RunView(run.name, style, _facts(run), parts, note, *results, _starts(run), run.settings, run.notes)


def charts_of_one(run: Run) -> tuple[list[Chart], int]:
    """A chart for each quantity, with its training, validation and test; and how many charts there was no room for."""
    groups: dict[str, dict[str, Series]] = {}
    for name, series in run.series.items():
        stage, quantity = split_name(name)
        groups.setdefault(quantity, {})[STAGE_NAMES.get(stage, name)] = series
    styles = {name: number for number, name in enumerate(STAGE_NAMES.values())}
    order = sorted(groups, key=lambda quantity: _FIRST.index(quantity) if quantity in _FIRST else len(_FIRST))
    return _drawn(
        line_chart(name.replace("_", " "), groups[name], styles | {name: 3})
        for name in order
        if any(len(series.values) > 1 for series in groups[name].values())  # single values are among the results
    )


def charts_of_several(runs: Sequence[Run]) -> tuple[list[Chart], int]:
    """A chart for each metric that has more than single values, with a line for each run."""
    names = dict.fromkeys(name for run in runs for name in run.series)
    order = sorted(names, key=lambda name: (_rank(name), not name.startswith("val"), not name.startswith("test")))
    styles = {run.name: number for number, run in enumerate(runs)}
    charts = []
    for name in order:
        series = {run.name: run.series[name] for run in runs if name in run.series}
        if any(len(each.values) > 1 for each in series.values()):
            charts.append(line_chart(name, series, styles))
    return _drawn(charts)


def split_name(name: str) -> tuple[str, str]:
    """``val_loss`` and ``val/loss`` are the loss of the stage ``val``; the stage is empty for other names."""
    for stage in STAGES:
        if name.startswith((f"{stage}_", f"{stage}/")) and len(name) > len(stage) + 1:
            return stage, name[len(stage) + 1 :]
    return "", name


def comparison(runs: Sequence[Run]) -> tuple[list[str], list[tuple[str, int, list[str]]]]:
    """The facts of each run as a table: the columns, and for each run its name, its style and its cells."""
    facts = [dict(_facts(run)) for run in runs]
    columns = list(dict.fromkeys(name for each in facts for name in each))
    return columns, [
        (run.name, number, [each.get(column, "") for column in columns])
        for number, (run, each) in enumerate(zip(runs, facts, strict=True))
    ]


def differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """The settings in which runs differ, each with its value in each run."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    rows = [(name, [run.settings.get(name, "not set") for run in runs]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _drawn(charts: Iterable[Chart | None]) -> tuple[list[Chart], int]:
    drawn = [chart for chart in charts if chart is not None]
    return drawn[:_MOST_CHARTS], max(0, len(drawn) - _MOST_CHARTS)


def _rank(name: str) -> int:
    quantity = split_name(name)[1]
    return _FIRST.index(quantity) if quantity in _FIRST else len(_FIRST)


def _facts(run: Run) -> list[tuple[str, str]]:
    end, start = run.event("end"), run.event("start")
    facts = [("State", _state(run))]
    if run.last_step:
        epochs = f"{run.epochs:,} epoch{'s' * (run.epochs != 1)}, " if run.epochs else ""
        facts.append(("Trained", f"{epochs}{run.last_step:,} steps"))
    facts += _scores(run)
    if _is_number(run.best.get("score")):
        epoch = run.best.get("epoch")
        after = f", after epoch {epoch}" if isinstance(epoch, int) else ""
        facts.append(("Best", f"{run.best.get('monitor')} {short_number(run.best['score'])}{after}"))
    if _number(end.get("seconds")):
        ends = [event for event in run.history if event.get("event") == "end"]
        facts.append(("Time", duration(sum(_number(event.get("seconds")) for event in ends))))
    if _number(end.get("images_per_second")):
        facts.append(("Throughput", f"{end['images_per_second']:,.0f} images a second"))
    if start.get("device"):
        facts.append(("Device", str(start["device"])))
    return facts


def _scores(run: Run) -> list[tuple[str, str]]:
    """The accuracies with their intervals; without them, the metrics of the test."""
    titles = {"test": "Test accuracy", "val": "Validation accuracy, at the end"}
    found = [(title, _share(run.evaluations[stage].get("accuracy"))) for stage, title in titles.items()
             if stage in run.evaluations]  # fmt: skip
    if "test" not in run.evaluations:
        tested = [(name, series.values[-1]) for name, series in run.series.items() if split_name(name)[0] == "test"]
        found += [(name, short_number(value)) for name, value in tested[:_MOST_TESTED]]
    return found


def _state(run: Run) -> str:
    if any(split_name(name)[0] == "test" for name in run.series):
        return "trained and tested"
    if run.event("end"):
        return "trained"
    return "not finished, or its end isn't recorded"


def _time(run: Run) -> tuple[list[tuple[str, float, str]], str]:
    """Each part of the time with its share and a text; and what isn't included."""
    sums = dict.fromkeys(_PARTS, 0.0)
    for event in run.history:
        parts = event.get("parts")
        for name, seconds in parts.items() if isinstance(parts, dict) else ():
            if name in sums:
                sums[name] += max(0.0, _number(seconds))
    total = sum(sums.values())
    kinds = [event.get("event") for event in run.history]
    starts, lost = kinds.count("start"), kinds.count("start") - kinds.count("end")
    note = f"{lost} of {starts} starts have no recorded end; their time isn't included." if lost > 0 else ""
    if not total:
        return [], note
    return [(name, seconds / total, duration(seconds)) for name, seconds in sums.items() if seconds], note


def _starts(run: Run) -> list[Start]:
    starts = [event for event in run.history if event.get("event") == "start"]
    found = []
    for number, event in enumerate(starts, 1):
        command, versions = event.get("command"), event.get("versions")
        words = shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")
        others = {name: value for name, value in event.items() if name not in _OF_START and value is not None}
        others |= versions if isinstance(versions, dict) else {}
        title = f"Start {number}" if len(starts) > 1 else "Start"
        rows = [(name, str(value)) for name, value in others.items()]
        found.append(Start(title, str(event.get("time", "")), words, rows))
    return found


def _results(run: Run) -> list[Results]:
    found = []
    for stage, content in sorted(run.evaluations.items()):
        facts = [("Images", f"{_number(content.get('images')):,.0f}")]
        for name, title in _MEASURES.items():
            value = content.get(name)
            if isinstance(value, dict):
                facts.append((title, _share(value)))
            elif _is_number(value):
                facts.append((title, f"{value:.4f}"))
        rows = [_class_row(row) for row in content["classes"] if isinstance(row, dict)]
        shown = rows if len(rows) <= _MOST_CLASSES else sorted(rows, key=lambda row: row["f1"])[:_MOST_CLASSES]
        intervals = content.get("calibration")
        bars = [
            {name: _number(bar.get(name)) for name in _INTERVAL}
            for bar in (intervals if isinstance(intervals, list) else ())
            if isinstance(bar, dict)
        ]
        found.append(Results(stage, content.get("step"), facts, shown, len(rows) - len(shown), bars))
    return found


def _class_row(row: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: _number(row.get(name)) for name in ("precision", "recall", "recall_low", "recall_high", "f1")}
    return {"class": str(row.get("class")), **numbers, "support": int(_number(row.get("support")))}


def _confusions(run: Run) -> list[Confusion]:
    found = []
    for stage, content in sorted(run.confusion.items()):
        classes, matrix = content["classes"], content["matrix"]
        sums = [sum(row) or 1 for row in matrix]
        rows = [
            (name, [(cell, cell / total) for cell in row])
            for name, row, total in zip(classes, matrix, sums, strict=True)
        ]
        wrong = (
            (cell, true, predicted)
            for true, row in enumerate(matrix)
            for predicted, cell in enumerate(row)
            if true != predicted and cell
        )
        pairs = [
            (classes[true], classes[predicted], cell, cell / sums[true])
            for cell, true, predicted in heapq.nlargest(_MOST_PAIRS, wrong, key=lambda item: item[0])
        ]
        is_large = len(classes) > _MOST_CLASSES
        found.append(Confusion(stage, content["step"], classes, [] if is_large else rows, pairs, len(classes)))
    return found


def _share(value: Any) -> str:
    """``0.8450 (95 %: 0.7887 to 0.8885)``."""
    if not isinstance(value, dict):
        return ""
    low, high = _number(value.get("low")), _number(value.get("high"))
    return f"{_number(value.get('value')):.4f} (95 %: {low:.4f} to {high:.4f})"


def _number(value: Any) -> float:
    """0 for anything that is no number: a file may hold anything."""
    return float(value) if _is_number(value) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST


def duration(seconds: float) -> str:
    """``0.4 s``, ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
