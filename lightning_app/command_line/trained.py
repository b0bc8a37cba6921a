"""A trained network with its data, from a run folder or a checkpoint, for commands that use it without a Trainer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_app import console
from lightning_app.checkpointing.checkpoint_files import read_checkpoint, require_same_weights
from lightning_app.command_line.cli import RunCLI
from lightning_app.command_line.commands import run_command
from lightning_app.command_line.import_path import append_current_folder, check_own_packages
from lightning_app.command_line.matching import require_image_size
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.watchdog.watchdog import Watchdog

_NOT_FLAGS = ("--ckpt_path", "--output_dir", "--trainer.default_root_dir")


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode with the weights of a checkpoint, and the datamodule of its run, if it has one."""

    model: pl.LightningModule
    datamodule: Any
    checkpoint: Path

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, as the model or its checkpoint has them."""
        saved = read_checkpoint(self.checkpoint).get("hyper_parameters") or {}
        found = getattr(self.model, "classes", None) or saved.get("classes")
        return None if found is None else [str(name) for name in found]


def trained(command: str, given: Path, flags: Sequence[str] = ()) -> Trained:
    """Loads what a checkpoint says; other flags, such as ``--data_path``, count more.

    Args:
        command: For messages.
        given: A checkpoint, or a run folder, whose best checkpoint is taken, or else its last one.
        flags: Flags of ``validate``.

    Raises:
        UsageError: There is no checkpoint, it can't be read, or a flag can't be used.
    """
    checkpoint = _checkpoint(command, given)
    for flag in flags:
        if flag.partition("=")[0] in _NOT_FLAGS:
            raise UsageError(f"{flag.partition('=')[0]}: {command} takes the run or the checkpoint without a flag")
    append_current_folder()
    check_own_packages()
    console.set_up_console(0)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # which devices a Trainer would use
    loaded: list[Trained] = []

    class Loading(RunCLI):
        """Makes the objects of ``validate``, and evaluates nothing."""

        def validate(self, **_: Any) -> None:
            loaded.append(Trained(self.model, self.datamodule, checkpoint))

    run_command(["validate", "--ckpt_path", str(checkpoint), "--trainer.logger", "false", *flags], Watchdog(), Loading)
    (found,) = loaded
    require_image_size(found.model, found.datamodule)
    require_same_weights(found.model, checkpoint)
    found.model.load_state_dict(read_checkpoint(checkpoint)["state_dict"], strict=found.model.strict_loading)
    found.model.eval().requires_grad_(False)
    return found


def _checkpoint(command: str, given: Path) -> Path:
    if given.is_file():
        return given
    folder = RunFolder(given)
    for path in (folder.best, folder.last):
        if path.is_file():
            return path
    problem = "no checkpoint in it" if given.is_dir() else "no such folder or file"
    raise UsageError(f"{command} {str(given)!r}: {problem}; expected the folder of a run, such as outputs, or a .ckpt")
