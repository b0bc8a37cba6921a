"""Saves in each checkpoint how far the journals were, so that a continued run knows which rows it repeats."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

POSITIONS = "metrics_journals"  # in the checkpoint: from the identity of a journal to the number of its next row
_STEP = "global_step"  # in the checkpoint: the number of optimizer steps, as Lightning has it


@runtime_checkable
class KeepsJournal(Protocol):
    """A logger with a journal."""

    def journal_position(self) -> tuple[str, int]:
        """The identity of the journal and the number of its next row."""

    def continue_journal(self, positions: Mapping[str, int] | None, global_step: int) -> None:
        """Rows after the position in the checkpoint may come again; without positions those after ``global_step``."""


class JournalPosition(pl.Callback):
    """Saves the position of the Trainer's journals in checkpoints, and restores it when ``fit`` continues from one.

    ``AzureMLRunLogger`` adds it to its Trainer when ``fit`` starts. With ``Trainer(enable_autolog_hparams=False)``
    Lightning doesn't call loggers at the start: give this callback to the Trainer.
    """

    def __init__(self) -> None:
        self._checkpoint: Mapping[str, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._checkpoint = {}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.is_global_zero:
            checkpoint[POSITIONS] = dict(logger.journal_position() for logger in _loggers(trainer))

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not self._checkpoint:  # a tuner loads its own, later
            self._checkpoint = {name: checkpoint[name] for name in (POSITIONS, _STEP) if name in checkpoint}
            continue_journals(trainer, self._checkpoint)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        continue_journals(trainer, self._checkpoint)  # loggers may have come after the checkpoint was loaded


def attach(trainer: pl.Trainer) -> None:
    """Adds the callback to a Trainer that hasn't got it; Lightning may have loaded the checkpoint already."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning
    if trainer.state.fn != TrainerFn.FITTING or any(isinstance(found, JournalPosition) for found in callbacks):
        return
    callbacks.append(JournalPosition())
    # Lightning keeps what it loaded until training starts, and gives it to no one who comes after that
    continue_journals(trainer, getattr(trainer._checkpoint_connector, "_loaded_checkpoint", None) or {})


def continue_journals(trainer: pl.Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Gives the loggers the place from where they continue; ``checkpoint`` is empty if they don't."""
    if not checkpoint or not trainer.is_global_zero:
        return
    positions = positions_in(checkpoint)
    for logger in _loggers(trainer):
        logger.continue_journal(positions, int(checkpoint.get(_STEP, 0)))


def positions_in(checkpoint: Mapping[str, Any]) -> dict[str, int] | None:
    """The positions of the journals, by their identity; None in a checkpoint that was saved without the callback."""
    found = checkpoint.get(POSITIONS)
    return {str(name): int(row) for name, row in found.items()} if isinstance(found, Mapping) else None


def _loggers(trainer: pl.Trainer) -> Iterator[KeepsJournal]:
    return (logger for logger in trainer.loggers if isinstance(logger, KeepsJournal))
