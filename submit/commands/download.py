"""``python -m submit download``: downloads files of a run."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from submit.commands.flags import add_json, add_run, find_run
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--what",
        choices=("checkpoints", "outputs", "logs"),
        default="outputs",
        help="what to download (default: outputs, with the checkpoints)",
    )
    parser.add_argument("--target", type=Path, metavar="DIR", help="target folder (default: the run's id)")
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _download(options), "the same command continues")


def _download(options: argparse.Namespace) -> int:
    from submit.runs.download import download
    from submit.runs.table import to_json

    run = find_run(options)
    target = options.target or Path(run.id)
    files = []
    for file in download(run, options.what, target, _print_error):
        files.append(file)
        if not options.json:
            print(f"{target / file.path}: {file.size:,} bytes{', existed' * file.existed}", flush=True)
    if options.json:
        print(to_json({"run": run.id, "target": str(target), "files": [asdict(file) for file in files]}))
    return 0


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
