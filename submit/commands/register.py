"""``python -m submit register``: registers a run's best checkpoint, or an exported model, as a model."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from submit.commands.flags import add_json, add_workspace, find_run, open_workspace
from submit.errors import SubmitError, exit_status

if TYPE_CHECKING:
    from submit.runs.register import RegisteredModel

TAKES_TRAINING_FLAGS = False
_OF_RUN = ""  # --export without a folder
EPILOG = """\
example:
  python -m submit register RUN --name cifar-net
  python -m lightning_app export outputs
  python -m submit register --name cifar-net --export outputs/export
  python -m submit register RUN --name cifar-net --export outputs/export

With RUN, the exported checkpoint must be one of that run: their hashes are
compared. --export without a folder takes the one among the run's files.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "run_id", nargs="?", metavar="RUN", help="id of the run, which submit run prints; not needed with --export DIR"
    )
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the model, which gets the next version")
    parser.add_argument("--description", metavar="TEXT", help="purpose of the model")
    parser.add_argument(
        "--export",
        nargs="?",
        const=_OF_RUN,
        metavar="DIR",
        help="register the exported model in this folder, or without a folder that of the run, not the checkpoint",
    )
    add_json(parser)
    add_workspace(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _register(options), "the model may be registered; see Azure ML's list of models")


def _register(options: argparse.Namespace) -> int:
    from submit.runs.model_labels import LONGEST_VALUE, MOST
    from submit.runs.register import require_name
    from submit.runs.table import to_json

    require_name(options.name, options.description)
    if options.run_id is None and not options.export:
        raise SubmitError("RUN is missing; give the id of a run, or --export DIR with the folder of an exported model")
    model = _registered(options)
    if model.left_out:
        print(
            f"warning: a model has {MOST} tags at most; not stored as tags: {', '.join(model.left_out)}",
            file=sys.stderr,
        )
    if model.shortened:
        print(
            f"warning: a tag or property has {LONGEST_VALUE:,} characters at most; shortened: "
            f"{', '.join(model.shortened)}",
            file=sys.stderr,
        )
    print(to_json(asdict(model)) if options.json else _text(model))
    return 0


def _registered(options: argparse.Namespace) -> "RegisteredModel":
    from submit.runs.register import register
    from submit.runs.register_export import read_folder, register_folder, register_of_run

    if options.export is None:
        return register(find_run(options), options.name, options.description)
    if options.export == _OF_RUN:
        return register_of_run(find_run(options), options.name, options.description)
    folder = Path(options.export)
    exported = read_folder(folder)  # before the workspace is asked
    workspace = open_workspace(options)
    run = workspace.find_run(options.run_id) if options.run_id else None
    return register_folder(workspace, exported, folder, run, options.name, options.description)


def _text(model: "RegisteredModel") -> str:
    from submit.runs.table import format_table

    of_properties = {name: text for name, text in model.properties.items() if name not in model.tags}
    rows = [("model", model.name), ("version", str(model.version)), *model.tags.items(), *of_properties.items()]
    return format_table(rows)
