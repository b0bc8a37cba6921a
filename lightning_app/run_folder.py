"""The folder that holds all files of a run."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lightning_app.errors import UsageError

TENSORBOARD_ROOT = Path("logs")  # in the working directory: Azure ML streams events from there

_CHECKPOINTS = "checkpoints"
EARLIER = re.compile(r"step-(\d{9,})\.ckpt")  # the name of a checkpoint that was the last one

# of at least two letters: C:/ is a folder of Windows; a Path has one slash of two left
_URL = re.compile(r"([\w+.-]+::)*[A-Za-z][\w+.-]+:/")


def local_folder(path: str | Path) -> Path:
    """The folder, with ``~`` expanded.

    Raises:
        ValueError: It is a URL, which would become a local folder of that name.
    """
    if _URL.match(str(path)):
        raise ValueError(f"output_dir {str(path)!r}: expected a folder of this machine; got a URL; give a local path")
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: a folder whose name begins with ~
        return Path(path)


def given_folder(path: str | Path) -> "RunFolder":
    """The folder of ``--output_dir``; UsageError if it is a URL."""
    try:
        return RunFolder(local_folder(path))
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def run_of(checkpoint: Path) -> "RunFolder | None":
    """The folder of the run that has saved a checkpoint; None if it is of no run.

    It is relative if it is in the current folder. A link to a checkpoint is one of the run in which the file lies.
    """
    folder = checkpoint.resolve().parent
    if folder.name != _CHECKPOINTS:
        return None
    root, here = folder.parent, Path.cwd()
    return RunFolder(root.relative_to(here) if root.is_relative_to(here) else root)


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's files."""

    root: Path

    @property
    def last(self) -> Path:
        return self.root / _CHECKPOINTS / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.root / _CHECKPOINTS / "best.ckpt"

    def earlier(self, step: int) -> Path:
        """A checkpoint that was the last one, with this number of optimizer steps."""
        return self.root / _CHECKPOINTS / f"step-{step:09d}.ckpt"

    @property
    def best_metrics(self) -> Path:
        """The metrics of the epoch after which ``best`` was saved, as JSON."""
        return self.root / _CHECKPOINTS / "best.json"

    @property
    def export(self) -> Path:
        """The folder of the exported model."""
        return self.root / "export"

    @property
    def journal(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def journal_identity(self) -> Path:
        """What distinguishes the journal from every other one."""
        return self.root / ".journal.json"

    @property
    def previous(self) -> Path:
        """Earlier runs, a folder each."""
        return self.root / "previous"

    @property
    def charts(self) -> Path:
        """Confusion matrices, images, tables and lists: a JSON file each, and a PNG file for a picture."""
        return self.root / "charts"

    def evaluation(self, stage: str) -> Path:
        """All values of the last validation, ``val``, or of the test, ``test``, as JSON."""
        return self.root / f"{stage}_metrics.json"

    @property
    def history(self) -> Path:
        """Each start of a training in this folder and its end: command, environment, and where the time went."""
        return self.root / "history.jsonl"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def hyperparameters(self) -> Path:
        return self.root / "hparams.yaml"

    @property
    def delivery_log(self) -> Path:
        """Which parts of the journal and of the charts Azure ML has acknowledged."""
        return self.root / "delivery.jsonl"

    @property
    def mlflow_run(self) -> Path:
        """Which run was created for this folder at an MLflow server."""
        return self.root / ".mlflow.jsonl"

    @property
    def sender_log(self) -> Path:
        """Messages of the sender, such as the reason why something can't be delivered."""
        return self.root / "delivery.log"

    @property
    def delivery_lock(self) -> Path:
        return self.root / ".delivery.lock"

    @property
    def run_lock(self) -> Path:
        return self.root / ".run.lock"

    @property
    def run_holder(self) -> Path:
        """Which process holds the lock."""
        return self.root / ".run.json"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.csv"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's events of this run folder, separate from those of other folders."""
        return TENSORBOARD_ROOT / os.path.relpath(self.root).replace(os.sep, "-").replace("..", "up")

    def holds_a_run(self) -> bool:
        return any(path.exists() for path in (self.last, self.best, self.journal, self.config))

    def check_writable(self, flag: str = "--output_dir") -> None:
        """Raises UsageError if the files of a run can't be written to the folder; leaves no file behind.

        Args:
            flag: That names the folder, for the message.
        """
        existing = self.root
        try:
            while not existing.exists() and existing != existing.parent:  # raises for a name that is too long
                existing = existing.parent
            if not existing.is_dir():
                raise NotADirectoryError(20, f"{str(existing)!r} is not a folder")
            tempfile.TemporaryFile(dir=existing).close()
        except OSError as error:
            raise UsageError(
                f"{flag} {str(self.root)!r}: can't be written ({error.strerror}); give another folder"
            ) from error
        self._check_kinds(flag)

    def _check_kinds(self, flag: str) -> None:
        logged = (self.journal, self.journal_identity, self.hyperparameters, self.delivery_log, self.sender_log)
        made = (self.evaluation("val"), self.evaluation("test"), self.history, self.report)
        written = (self.config, self.last, self.best, self.best_metrics, self.run_lock, self.run_holder)
        for path in (*logged, *made, *written):
            if path.is_dir():
                raise UsageError(f"{flag}: {str(path)!r} is a folder; expected a file; remove or rename it")
        for path in (self.last.parent, self.export, self.charts, self.previous):
            if path.exists() and not path.is_dir():
                raise UsageError(f"{flag}: {str(path)!r} is a file; expected a folder; remove or rename it")

    def archive(self) -> Path:
        """Moves the files of an earlier run to a new folder ``previous/NNN`` and returns that folder."""
        target = self.archive_logged()
        for path in (self.last.parent, self.export, self.config, self.predictions):
            if path.exists():
                path.rename(target / path.name)
        if self.tensorboard.is_dir():
            self.tensorboard.rename(self.tensorboard.with_name(f"{self.tensorboard.name}-previous-{target.name}"))
        return target

    def archive_logged(self) -> Path:
        """Moves only what was logged; returns the new folder."""
        target = self._new_previous()
        kept = (self.journal, self.journal_identity, self.charts, self.hyperparameters)
        evaluated = (self.evaluation("val"), self.evaluation("test"), self.history, self.report)
        for path in (*kept, *evaluated, self.delivery_log, self.mlflow_run, self.sender_log):
            if path.exists():
                path.rename(target / path.name)
        return target

    def archive_config(self) -> Path | None:
        """Moves only ``config.yaml`` and returns its new path; None where there is none."""
        if not self.config.exists():
            return None
        return self.config.rename(self._new_previous() / self.config.name)

    def _new_previous(self) -> Path:
        number = 1
        while (target := self.previous / f"{number:03d}").exists():
            number += 1
        target.mkdir(parents=True)
        return target
