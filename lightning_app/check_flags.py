"""``python -m lightning_app.check_flags``: whether ``fit`` would accept flags; submit asks it before it sends a job.

It reads a JSON list of lists of flags from standard input. The last line that it prints is a JSON list with, for each
of them, the one line that ``fit`` would print as its error, or null.
"""

import contextlib
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import torch

from datamodules.validation import max_workers
from lightning_app.command_line.cli import RunCLI
from lightning_app.command_line.commands import run_command
from lightning_app.command_line.error_messages import user_error_message
from lightning_app.command_line.import_path import OWN_PACKAGES, append_current_folder, check_own_packages
from lightning_app.watchdog.watchdog import Watchdog


def main() -> None:
    """Checks each list of flags; reads no data, and touches no run folder."""
    append_current_folder()
    with contextlib.redirect_stdout(sys.stderr):  # what modules of the user's print
        check_own_packages()
        errors = [error_of(flags) for flags in json.load(sys.stdin)]
    print(json.dumps(errors))


def error_of(flags: Sequence[str]) -> str | None:
    """The error of ``fit`` with these flags in one line; None if they can be used."""
    try:
        run_command(["fit", *flags], Watchdog(), FlagCheck)
    except SystemExit as end:  # of --print_config
        return None if not end.code else str(end.code)
    except Exception as error:
        return user_error_message(error) or " ".join(f"{type(error).__name__}: {error}".split())
    return None


class FlagCheck(RunCLI):
    """``fit`` as far as its flags go: they are parsed, and this project's classes check their values.

    Neither the Trainer nor a class of the user's is created, which may need what only the cluster has.
    """

    def before_instantiate_classes(self) -> None:
        self.check_settings()

    def instantiate_classes(self) -> None:
        for section in (self.settings.get("data"), self.settings.get("model")):
            if section is not None and section.class_path.partition(".")[0] in OWN_PACKAGES:
                _create(section.class_path, section.as_dict().get("init_args") or {})

    def _run_subcommand(self, subcommand: str) -> None:
        """Does nothing: this is a check."""


def _create(class_path: str, arguments: dict[str, Any]) -> None:
    module, _, name = class_path.rpartition(".")
    arguments.pop("classes", None)  # they come from the data
    if isinstance(workers := arguments.get("num_workers"), int):  # this machine's limit isn't the cluster's
        arguments["num_workers"] = min(workers, max_workers())
    with torch.device("meta"):  # without memory for the weights
        getattr(importlib.import_module(module), name)(**arguments)


if __name__ == "__main__":
    main()
