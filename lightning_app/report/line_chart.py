"""Line charts as SVG: the geometry of axes and lines, which the template draws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_app.report.run_content import Series

WIDTH, HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 34
_MOST_POINTS = 240  # of a line; a wider chart would show no more
_LOG_RATIO = 100  # of the largest to the smallest value from which the axis is logarithmic


@dataclass(frozen=True)
class Tick:
    position: float
    text: str


@dataclass(frozen=True)
class Line:
    """``path`` is the SVG path; ``points`` are drawn as dots: single values, which a line doesn't show."""

    name: str
    style: int
    path: str
    points: Sequence[tuple[float, float]]
    first: str
    last: str
    lowest: str
    highest: str
    count: int
    not_finite: int


@dataclass(frozen=True)
class Chart:
    title: str
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    is_log: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def line_chart(title: str, series: Mapping[str, Series], styles: Mapping[str, int]) -> Chart | None:
    """A chart of one or several metrics by step; None if none has a finite value.

    Args:
        title: Above the chart.
        series: By the name in the legend.
        styles: The number of the colour of each.
    """
    finite = [value for each in series.values() for value in each.finite]
    if not finite:
        return None
    is_log = min(finite) > 0 and max(finite) / min(finite) > _LOG_RATIO
    y_values = [math.log10(value) for value in finite] if is_log else finite
    low, high = _widened(min(y_values), max(y_values))
    steps = [step for each in series.values() for step in each.steps]
    first, last = min(steps), max(steps)
    last = last if last > first else first + 1

    def place(step: int, value: float) -> tuple[float, float]:
        height = math.log10(value) if is_log else value
        x = _LEFT + (step - first) / (last - first) * (WIDTH - _LEFT - _RIGHT)
        return round(x, 1), round(HEIGHT - _BOTTOM - (height - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    lines = [_line(name, each, styles.get(name, 0), place) for name, each in series.items() if each.values]
    x_ticks = [Tick(place(int(x), finite[0])[0], short_number(x)) for x in _ticks(first, last, 4) if x == int(x)]
    if is_log:
        y_ticks = [Tick(place(first, 10.0**y)[1], short_number(10.0**y)) for y in _log_ticks(low, high)]
    else:
        y_ticks = [Tick(place(first, y)[1], short_number(y)) for y in _ticks(low, high, 5)]
    return Chart(title, lines, x_ticks, y_ticks, is_log)


def short_number(value: float) -> str:
    """At most four digits: ``0.8451``, ``12.5k``, ``1e-05``."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g}M" if abs(value) < 1e9 else f"{value:.3g}"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.4g}k"
    return f"{0.0 if value == 0 else value:.4g}"


def _line(name: str, series: Series, style: int, place: Any) -> Line:
    pieces: list[list[tuple[float, float]]] = [[]]
    for step, value in _thinned(series):
        if math.isfinite(value):
            pieces[-1].append(place(step, value))
        elif pieces[-1]:
            pieces.append([])
    path = "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in piece) for piece in pieces if len(piece) > 1)
    alone = [piece[0] for piece in pieces if len(piece) == 1]
    finite = series.finite
    extremes = (short_number(min(finite)), short_number(max(finite))) if finite else ("", "")
    ends = short_number(series.values[0]), short_number(series.values[-1])
    return Line(name, style, path, alone, *ends, *extremes, len(series.values), len(series.values) - len(finite))


def _thinned(series: Series) -> list[tuple[int, float]]:
    """All values where they are few; otherwise the smallest and the largest of each of many parts, in their order."""
    points = list(zip(series.steps, series.values, strict=True))
    size = -(-2 * len(points) // _MOST_POINTS)
    if size <= 2:
        return points
    kept: list[tuple[int, float]] = []
    for start in range(0, len(points), size):
        part = range(start, min(start + size, len(points)))
        finite = [i for i in part if math.isfinite(points[i][1])]
        chosen = {i for i in part if not math.isfinite(points[i][1])}
        chosen = set(sorted(chosen)[:1])  # one is enough to break the line
        if finite:
            chosen |= {min(finite, key=lambda i: points[i][1]), max(finite, key=lambda i: points[i][1])}
        kept += [points[i] for i in sorted(chosen)]
    return kept


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``."""
    raw = (high - low) / most
    size: float = 10.0 ** math.floor(math.log10(raw))
    step = next((size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw), size * 10)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Exponents of powers of ten from ``low`` to ``high``."""
    first, last = math.ceil(low), math.floor(high)
    return [float(exponent) for exponent in range(first, last + 1, max(1, (last - first) // 5))]
