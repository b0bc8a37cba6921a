"""Lightning's way to the journal."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.journal import Journal


class JournalLogger(Logger):
    """Writes every metric to ``metrics.jsonl`` in the run folder; hyperparameters are in ``config.yaml`` there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._journal: Journal | None = None

    @property
    def name(self) -> str:
        return "journal"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self._path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._journal is None:
            self._journal = Journal(self._path)
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        epoch = metrics.get("epoch")  # Lightning sends it along as if it were a metric
        self._journal.append(step or 0, None if epoch is None else int(epoch), values)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: ``config.yaml`` holds them all."""
