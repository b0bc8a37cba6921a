"""``python -m submit download``: files of a run, brought here."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from submit.commands.flags import add_json, add_run
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--what",
        choices=("checkpoints", "outputs", "logs"),
        default="outputs",
        help="(default: outputs, which has the checkpoints in it)",
    )
    parser.add_argument("--target", type=Path, metavar="DIR", help="where to (default: a folder called like the run)")
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _download(options), "the same command goes on where it was")


def _download(options: argparse.Namespace) -> int:
    from submit.runs.download import download
    from submit.runs.run_info import find_run
    from submit.runs.table import to_json

    found = find_run(options.run_id, options.workspace)
    target = options.target or Path(found.id)
    files = []
    for file in download(found, options.what, target, _tell):
        files.append(file)
        if not options.json:
            print(f"{target / file.path}: {file.size:,} bytes{', was here' * file.was_here}", flush=True)
    if options.json:
        print(to_json({"run": found.id, "target": str(target), "files": [asdict(file) for file in files]}))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
