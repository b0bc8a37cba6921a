"""The folder under which all of a run lies."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lightning_app.errors import UsageError

TENSORBOARD_ROOT = Path("logs")  # relative to where the program runs: Azure ML streams it from there


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run are."""

    root: Path

    @property
    def last(self) -> Path:
        return self.root / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.root / "checkpoints" / "best.ckpt"

    @property
    def journal(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def charts(self) -> Path:
        """Confusion matrices, images, tables and lists: a JSON file each, and a picture where it is one."""
        return self.root / "charts"

    @property
    def hyperparameters(self) -> Path:
        return self.root / "hparams.yaml"

    @property
    def delivery_log(self) -> Path:
        """What Azure ML has confirmed of the journal and the charts."""
        return self.root / "delivery.jsonl"

    @property
    def sender_log(self) -> Path:
        """What the sender had to say; for whoever looks for the reason why something doesn't arrive."""
        return self.root / "delivery.log"

    @property
    def delivery_lock(self) -> Path:
        return self.root / ".delivery.lock"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.csv"

    @property
    def tensorboard(self) -> Path:
        """The events of this run folder, apart from those of other folders."""
        return TENSORBOARD_ROOT / os.path.relpath(self.root).replace(os.sep, "-").replace("..", "up")

    def holds_a_run(self) -> bool:
        return any(path.exists() for path in (self.last, self.best, self.journal, self.config))

    def check_writable(self) -> None:
        """Raises UsageError unless files can be written; leaves nothing behind."""
        existing = self.root
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        try:
            if not existing.is_dir():
                raise NotADirectoryError(20, f"{str(existing)!r} is not a folder")
            tempfile.TemporaryFile(dir=existing).close()
        except OSError as error:
            raise UsageError(
                f"--output_dir {str(self.root)!r}: can't be written ({error.strerror}); give another folder"
            ) from error

    def set_aside(self) -> Path:
        """Moves a run that was here before into ``previous/N`` below, where nothing overwrites it."""
        target = self._new_previous()
        parts = (self.journal, self.charts, self.hyperparameters, self.delivery_log, self.sender_log)
        for path in (self.last.parent, *parts, self.config, self.predictions):
            if path.exists():
                path.rename(target / path.name)
        if self.tensorboard.is_dir():
            self.tensorboard.rename(self.tensorboard.with_name(f"{self.tensorboard.name}-previous-{target.name}"))
        return target

    def set_journal_aside(self) -> Path:
        """Moves only the journal, under a program that has begun to write the rest."""
        target = self._new_previous()
        self.journal.rename(target / self.journal.name)
        return target

    def _new_previous(self) -> Path:
        number = 1
        while (target := self.root / "previous" / f"{number:03d}").exists():
            number += 1
        target.mkdir(parents=True)
        return target
