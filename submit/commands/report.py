"""``python -m submit report``: the report of runs of the workspace, as one HTML file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import add_workspace, open_workspace
from submit.errors import SubmitError, exit_status

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
    from submit.runs.download import download

    workspace = open_workspace(options)
    run_ids, folders = list(dict.fromkeys(options.run_ids)), []
    for run in [workspace.find_run(run_id) for run_id in run_ids]:
        target = options.target / run.id
        for file in download(run, "report", target, _print_error):
            if not file.existed:
                print(f"{target / file.path}: {file.size:,} bytes", flush=True)
        folders.append(target / "outputs")
    output = options.output or (options.target / "report.html" if len(folders) > 1 else None)
    try:
        print(report(folders, output))
    except UsageError as error:
        raise SubmitError(str(error)) from error
    return 0


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
