"""The page of the report, from the content of one or several runs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from lightning_app.report import views
from lightning_app.report.run_content import Run

GENERATOR = '<meta name="generator" content="lightning_app report">'
_ONE = {
    "curves": "Curves",
    "results": "Results",
    "pictures": "Pictures",
    "time": "Where the time went",
    "environment": "Command and environment",
    "settings": "Settings",
}


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html.jinja")


def page(runs: Sequence[Run]) -> str:
    """HTML with everything in it; every text of the runs is escaped."""
    shown = [views.run_view(run, number) for number, run in enumerate(runs)]
    charts, left_out = views.charts_of_one(runs[0]) if len(runs) == 1 else views.charts_of_several(runs)
    columns, compared = views.comparison(runs)
    if len(runs) == 1:
        has = {"results": shown[0].results or shown[0].confusions, "pictures": shown[0].pictures}
        parts = [(anchor, name) for anchor, name in _ONE.items() if has.get(anchor, True)]
    else:
        names = [(f"run-{number}", run.name) for number, run in enumerate(runs, 1)]
        parts = [("runs", "Runs"), ("curves", "Curves"), ("differences", "Settings that differ"), *names]
    return _template().render(
        title=f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs compared",
        parts=parts,
        views=shown,
        charts=charts,
        charts_left_out=left_out,
        columns=columns,
        compared=compared,
        differing=views.differences(runs),
        stage_names=views.STAGE_NAMES,
        number=_count,
    )


def _count(value: float) -> str:
    """Counts as they are, shares with three digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.3f}"
