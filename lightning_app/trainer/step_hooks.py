"""Hooks of a callback that Lightning doesn't have."""

import pytorch_lightning as pl


class StepHooks:
    """Hooks of a callback that Lightning doesn't have."""

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        """All hooks after the batch are done, and its values are logged; its validation, if one is due, is next."""

    def on_validation_due(self, trainer: pl.Trainer) -> None:
        """Before the loop of the validation takes its first random number."""

    def on_stop_within_epoch(self, trainer: pl.Trainer) -> None:
        """Training stops within an epoch: the last step is complete, its validation included.

        Lightning ends the epoch next, as if it were whole.
        """

    def on_save_check(self, trainer: pl.Trainer) -> None:
        """After the first step that reaches ``RunTrainer.next_save_check``: all of it is done, its validation included.

        Neither at the end of an epoch nor where training stops, which have hooks of their own, nor while gradients
        accumulate. It is called at the same step in all processes.
        """
