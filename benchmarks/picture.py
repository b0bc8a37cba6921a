"""A picture of what the benchmarks measured: images a second beside the limit, and accuracy over time."""

import statistics
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import throughput, time_to_accuracy

_SECONDS = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # marks of the axis of time
_COLOURS = {
    "tutorial": "#b8b8b8",
    "usual_lightning": "#8c8c8c",
    throughput.THIS_PROJECT: "#1f77b4",
    throughput.LIMIT: "#dbe9f6",
}


def draw(file: Path, speed: throughput.Results | None, accuracy: time_to_accuracy.Results | None) -> None:
    """Writes the picture in the format of the file's extension, with a part for each that was measured."""
    parts = [part for part in (speed, accuracy) if part]
    figure = Figure(figsize=(5.5 * len(parts), 3.6), layout="constrained")
    axes = iter(figure.subplots(1, len(parts), squeeze=False)[0])
    if speed:
        _bars(next(axes), speed)
    if accuracy:
        _curves(next(axes), accuracy)
    figure.savefig(file)


def _bars(axes: Axes, results: throughput.Results) -> None:
    """Medians, as parts of the limit of the same setting."""
    width = 0.8 / len(throughput.NAMES)
    for number, (program, title) in enumerate(throughput.NAMES.items()):
        for position, rounds in enumerate(results.values()):
            if program not in rounds:
                continue
            speed = statistics.median(rounds[program])
            part = speed / statistics.median(rounds[throughput.LIMIT])
            label = title if position == 0 else None
            x = position + (number - 1.5) * width
            axes.bar(x, part, width, color=_COLOURS[program], edgecolor="#777777", linewidth=0.5, label=label)
            axes.annotate(f"{speed:,.0f}", (x, part), ha="center", va="bottom", rotation=90, fontsize=6)
    axes.set_xticks(range(len(results)), list(results), fontsize=7)
    axes.set(title="Images a second, as a part of the limit", ylim=(0, 1.5))
    axes.legend(fontsize=6, loc="upper left", ncols=2)


def _curves(axes: Axes, results: time_to_accuracy.Results) -> None:
    """A line for each round; the last point is the test at the program's end."""
    for number, (program, runs) in enumerate(results.items()):
        for run in runs:
            seconds, accuracies = zip(*run.curve, (run.seconds, run.accuracy), strict=True)
            label = program if run is runs[0] else None
            axes.plot(seconds, accuracies, color=f"C{number}", marker=".", markersize=3, linewidth=0.9, label=label)
    axes.set(title="Accuracy over time, start-up included", xlabel="seconds", xscale="log", ylim=(0, 1))
    low, high = axes.get_xlim()
    axes.set_xticks([], minor=True)
    ticks = [tick for tick in _SECONDS if low <= tick <= high]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=6, loc="lower right")
