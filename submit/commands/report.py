"""``python -m submit report``: the report of runs of the workspace, as one HTML file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from submit.commands.flags import add_workspace, open_workspace
from submit.errors import SubmitError, exit_status

if TYPE_CHECKING:
    from submit.interface import Run

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_ids", nargs="+", metavar="RUN", help="ids of runs, which submit run prints")
    add_workspace(parser)
    parser.add_argument(
        "--target",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where the files go that the report needs, a folder for each run (default: this folder)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the report (default: report.html in the run's folder; of several runs, in --target)",
    )


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _report(options), "the same command continues")


def _report(options: argparse.Namespace) -> int:
    from lightning_app.errors import UsageError
    from lightning_app.report.command import report

    workspace = open_workspace(options)
    run_ids, folders = list(dict.fromkeys(options.run_ids)), []
    for run in [workspace.find_run(run_id) for run_id in run_ids]:
        folders += _download(run, options.target / run.id)
    output = options.output or (options.target / "report.html" if len(folders) > 1 else None)
    try:
        print(report(folders, output))
    except UsageError as error:
        raise SubmitError(str(error)) from error
    return 0


def _download(run: "Run", target: Path) -> list[Path]:
    """Downloads what the report needs; returns the run folders, usually one."""
    from submit.runs.download import fetch, few, file_names
    from submit.runs.run_folders import files_of_report, run_folders

    names = file_names(run, _print_error)
    found = run_folders(names)
    if not found:
        raise SubmitError(f"run {run.id} has no files for a report; it has {few(names)}")
    for file in fetch(run, [name for each in found for name in files_of_report(names, each)], target, _print_error):
        if not file.existed:
            print(f"{target / file.path}: {file.size:,} bytes", flush=True)
    return [target / each for each in found]


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
