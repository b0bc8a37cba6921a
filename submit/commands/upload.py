"""``python -m submit upload``: a folder into the workspace's datastore."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False
EPILOG = """\
example:
  python -m submit upload --src data --target data/cifar10
  python -m submit run --dataset data/cifar10

Files that are there already, of the same size and content, are skipped: after Ctrl-C or a lost connection the same
command goes on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--src", type=Path, required=True, metavar="DIR", help="the folder here whose content is sent")
    parser.add_argument("--target", required=True, metavar="PATH", help="the folder there, such as data/cifar10")
    parser.add_argument("--datastore", metavar="NAME", help="(default: the workspace's own)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there with other content")
    parser.add_argument("--workspace", type=Path, metavar="FILE", help="config.json (default: that of this folder)")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """0 when all of the folder is there."""
    return exit_status(lambda: _run(options), "what has arrived stays there, and the same command goes on from it")


def _run(options: argparse.Namespace) -> int:
    from submit.upload.upload import upload

    print(upload(options.src, options.target, options.datastore, options.overwrite, options.workspace))
    return 0
