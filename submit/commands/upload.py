"""``python -m submit upload``: uploads a folder to the workspace's datastore."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import add_workspace, open_workspace
from submit.errors import exit_status
from submit.sdk import choose_sdk

TAKES_TRAINING_FLAGS = False
EPILOG = """\
example:
  python -m submit upload --src data --target data/cifar10
  python -m submit run --dataset data/cifar10
  python -m submit upload --src data --target data/cifar10 --name cifar10
  python -m submit run --dataset cifar10:1

Existing files of the same size and content are skipped: after Ctrl-C or a lost
connection the same command continues.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--src", type=Path, required=True, metavar="DIR", help="the folder whose content is uploaded")
    parser.add_argument(
        "--target", required=True, metavar="PATH", help="the folder in the datastore, such as data/cifar10"
    )
    parser.add_argument("--datastore", metavar="NAME", help="datastore (default: that of the workspace)")
    parser.add_argument(
        "--name",
        metavar="NAME[:VERSION]",
        help="with SDK v2: register the folder as a data asset of this name (version: the next one)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files with other content")
    add_workspace(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the whole folder is uploaded."""
    return exit_status(lambda: _run(options), "uploaded files stay there, and the same command continues")


def _run(options: argparse.Namespace) -> int:
    from submit.upload.asset import parse_asset
    from submit.upload.upload import upload

    asset = None
    if options.name is not None:
        asset = parse_asset(options.name)
        choose_sdk(options.sdk).require_data_assets()
    print(
        upload(
            options.src, options.target, options.datastore, options.overwrite, lambda: open_workspace(options), asset
        )
    )
    return 0
