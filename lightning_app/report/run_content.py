"""What a run folder contains, read for the report: as much of it as is there and can be read."""

import base64
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from lightning_app.azureml.journal import read_journal
from lightning_app.azureml.json_lines import read_json_lines
from lightning_app.run_folder import RunFolder

_CHART = re.compile(r"(.+)-step(\d+)(-\d+)?\.json")
_PICTURE_QUALITY = 82  # of WebP
_LARGEST_STEP, _LARGEST_VALUE = 2**53, 1e300
_MOST_PIXELS = 20_000_000
_UNREADABLE = (OSError, ValueError, RecursionError, yaml.YAMLError)


@dataclass
class Series:
    """The values of a metric, by step, in the order in which they were logged."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def finite(self) -> list[float]:
        return [value for value in self.values if math.isfinite(value)]


@dataclass
class Run:
    """A run; what its folder lacks is empty, and ``notes`` says what couldn't be read."""

    name: str
    folder: RunFolder
    series: dict[str, Series] = field(default_factory=dict)
    last_step: int = 0
    epochs: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)  # by stage
    confusion: dict[str, dict[str, Any]] = field(default_factory=dict)  # by stage, the last one
    pictures: dict[str, str] = field(default_factory=dict)  # data URLs by title
    history: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def event(self, name: str) -> dict[str, Any]:
        """The last event of this kind in the history; empty if there is none."""
        return next((event for event in reversed(self.history) if event.get("event") == name), {})


def is_run(folder: Path) -> bool:
    """Whether there is anything in the folder that a report shows."""
    run = RunFolder(folder)
    return any(path.exists() for path in (run.journal, run.config, run.hyperparameters, run.history, run.charts))


def read_run(folder: Path, name: str) -> Run:
    """Reads a run folder; a part that is damaged is left out, with a note."""
    run = Run(name, RunFolder(folder))
    for part in (_read_journal, _read_settings, _read_results, _read_charts, _read_history):
        part(run)
    return run


def _read_journal(run: Run) -> None:
    try:
        for row in read_journal(run.folder.journal):
            step, epoch = row["step"], row.get("epoch")
            if abs(step) > _LARGEST_STEP:
                continue
            run.last_step = max(run.last_step, step)
            run.epochs = max(run.epochs, 0 if epoch is None else min(epoch + 1, _LARGEST_STEP))
            for name, value in row["metrics"].items():
                series = run.series.setdefault(name, Series())
                series.steps.append(step)
                series.values.append(_plottable(value))
    except FileNotFoundError:
        run.notes.append("metrics.jsonl is missing: there are no curves")
    except _UNREADABLE as error:
        run.notes.append(f"metrics.jsonl can't be read: {_reason(error)}")


def _plottable(value: Any) -> float:
    """The number; infinite where it is too large to be drawn."""
    if isinstance(value, int) and abs(value) >= _LARGEST_VALUE:  # beyond what a float can hold
        return math.inf if value > 0 else -math.inf
    number = float(value)  # journals have "NaN" and "Infinity" as texts
    return number if math.isnan(number) or abs(number) < _LARGEST_VALUE else math.copysign(math.inf, number)


def _read_settings(run: Run) -> None:
    for file in (run.folder.config, run.folder.hyperparameters):
        if not file.exists():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8", errors="replace"))
            settings = dict(_flat(content)) if isinstance(content, dict) else None
        except _UNREADABLE as error:
            run.notes.append(f"{file.name} can't be read: {_reason(error)}")
            continue
        if settings is not None:
            run.settings = settings
            return
        run.notes.append(f"{file.name}: expected settings; found {type(content).__name__}")


def _flat(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The settings by their dotted names, as ``--print_config`` writes their values."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{name.removesuffix('.init_args').removesuffix('init_args')}.".replace("..", "."))
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _read_results(run: Run) -> None:
    files = {stage: run.folder.evaluation(stage) for stage in ("val", "test")}
    for stage, file in files.items():
        content = _json(run, file)
        if content and isinstance(content.get("classes"), list):
            run.evaluations[stage] = content
    run.best = _json(run, run.folder.best_metrics)


def _read_charts(run: Run) -> None:
    found: dict[str, tuple[int, Path]] = {}
    try:
        files = sorted(run.folder.charts.glob("*.json"))
    except OSError as error:
        run.notes.append(f"charts can't be read: {_reason(error)}")
        return
    for file in files:
        match = _CHART.fullmatch(file.name)
        if match and int(match[2]) >= found.get(match[1], (-1, file))[0]:
            found[match[1]] = int(match[2]), file
    for _, file in found.values():
        chart = _json(run, file)
        if chart.get("kind") == "confusion_matrix":
            _add_confusion(run, chart, file)
        elif chart.get("kind") == "image":
            _add_picture(run, chart, file)


def _add_confusion(run: Run, chart: Mapping[str, Any], file: Path) -> None:
    labels, matrix = chart.get("class_labels"), chart.get("matrix")
    is_whole = isinstance(labels, list) and isinstance(matrix, list) and len(matrix) == len(labels)
    if is_whole and all(isinstance(row, list) and len(row) == len(labels or ()) for row in matrix or ()):
        numbers = [[_cell(cell) for cell in row] for row in matrix or ()]
        title = str(chart.get("name")).removesuffix("_confusion_matrix")
        run.confusion[title] = {"classes": [str(label) for label in labels or ()], "matrix": numbers, **_place(chart)}
    else:
        run.notes.append(f"{file.name}: expected a square matrix")


def _cell(value: Any) -> float:
    """A count or a share; none, and what isn't one, are 0."""
    return value if isinstance(value, int | float) and 0 <= value < _LARGEST_STEP else 0


def _add_picture(run: Run, chart: Mapping[str, Any], file: Path) -> None:
    picture = file.with_name(Path(str(chart.get("picture"))).name)
    try:
        content = picture.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            smaller = io.BytesIO()
            image.convert("RGB").save(smaller, "webp", quality=_PICTURE_QUALITY, method=2)
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        run.notes.append(f"{picture.name} can't be shown: {_reason(error)}")
        return
    title = f"{chart.get('name')}, step {_place(chart)['step']:,}"
    run.pictures[title] = f"data:image/webp;base64,{base64.b64encode(smaller.getvalue()).decode()}"


def _place(chart: Mapping[str, Any]) -> dict[str, int]:
    step = chart.get("step")
    return {"step": step if isinstance(step, int) else 0}


def _read_history(run: Run) -> None:
    try:
        run.history = list(read_json_lines(run.folder.history))
    except FileNotFoundError:
        return
    except OSError as error:
        run.notes.append(f"history.jsonl can't be read: {_reason(error)}")


def _json(run: Run, file: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none, with a note if the file is damaged."""
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except _UNREADABLE as error:
        run.notes.append(f"{file.name} can't be read: {_reason(error)}")
        return {}
    return content if isinstance(content, dict) else {}


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]
