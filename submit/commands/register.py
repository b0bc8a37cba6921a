"""``python -m submit register``: registers a run's best checkpoint as a model."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from submit.commands.flags import add_json, add_run, find_run
from submit.errors import exit_status

if TYPE_CHECKING:
    from submit.runs.register import RegisteredModel

TAKES_TRAINING_FLAGS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the model, which gets the next version")
    parser.add_argument("--description", metavar="TEXT", help="purpose of the model")
    add_json(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    return exit_status(lambda: _register(options), "the model may be registered; see Azure ML's list of models")


def _register(options: argparse.Namespace) -> int:
    from submit.runs.register import register, require_name
    from submit.runs.table import to_json

    require_name(options.name, options.description)
    run = find_run(options)
    model = register(run, options.name, options.description)
    if model.left_out:
        print(
            f"warning: a model has 50 tags at most; not stored as tags: {', '.join(model.left_out)}",
            file=sys.stderr,
        )
    print(to_json(asdict(model)) if options.json else _text(model))
    return 0


def _text(model: "RegisteredModel") -> str:
    from submit.runs.table import format_table

    rows = [("model", model.name), ("version", str(model.version)), *model.tags.items()]
    return format_table(rows)
