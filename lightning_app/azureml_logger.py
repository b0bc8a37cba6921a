"""``AzureMLRunLogger``: a Lightning logger that writes to the run folder first, and then sends to a service."""

import atexit
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.azureml.charts import Charts
from lightning_app.azureml.delivery_log import count_undelivered
from lightning_app.azureml.evaluations import save_evaluation
from lightning_app.azureml.experiment import RunWhenUsed, before_threads_end, flush, require_core
from lightning_app.azureml.hyperparameters import merge_hyperparameters, to_hyperparameters
from lightning_app.azureml.journal_position import attach
from lightning_app.azureml.logged_values import Numbers, require_finite, split_epoch
from lightning_app.azureml.metric_names import DEFAULT_PRIORITY
from lightning_app.azureml.mlflow.remembered_run import FAILED, FINISHED
from lightning_app.azureml.open_folders import OpenFolder, leave_folder, open_folder
from lightning_app.run_folder import RunFolder, local_folder

log = logging.getLogger(__name__)

_POLL_SECONDS = 5.0  # of the sender's messages; not at each call


class AzureMLRunLogger(Logger):
    """Logs to a run folder and, in an Azure ML job, to the run that Azure ML started; or to an MLflow server.

    Each row is in ``metrics.jsonl`` when ``log_metrics`` returns. A separate process sends it to the service, so that
    training never waits; only the end of the program waits, for ``exit_timeout`` at most. What is left then is
    delivered by ``python -m lightning_app.deliver OUTPUT_DIR``. Outside a job, ``MLFLOW_TRACKING_URI`` names a server;
    without it, nothing is sent.

    Args:
        output_dir: The run folder, a local path. Azure ML uploads ``outputs`` by itself.
        exit_timeout: How long the end of the program may wait for delivery, in seconds.
        priority: Shell patterns of the metric names that are sent first if there are more than the 50 that Azure ML
            accepts.
        stop_on_nonfinite: Whether a NaN or infinite metric ends the run; otherwise a tag counts it.

    Raises:
        ValueError: ``exit_timeout`` is negative, or ``output_dir`` is a URL.
    """

    def __init__(
        self,
        output_dir: str | Path = "outputs",
        exit_timeout: float = 10.0,
        priority: Sequence[str] = DEFAULT_PRIORITY,
        stop_on_nonfinite: bool = False,
    ) -> None:
        super().__init__()
        if not exit_timeout >= 0:
            raise ValueError(f"exit_timeout {exit_timeout}: expected seconds, 0 or more")
        self._folder = RunFolder(local_folder(output_dir))
        self._exit_timeout = exit_timeout
        self._priority = tuple(priority)
        self._stop_on_nonfinite = stop_on_nonfinite
        self._reset()

    def _reset(self) -> None:
        """The state that belongs to this process."""
        self._opened: OpenFolder | None = None
        self._has_opened = False  # the folder's files are this run's, also when it is closed
        self._run: Any = None
        self._waited = 0.0  # at the end, for ``run``
        self._next_poll = 0.0
        self._numbers = Numbers()
        self._has_noted_repetitions = False
        self._has_failed = False

    def __getstate__(self) -> dict[str, Any]:
        """Without the sender and the run, which belong to this process; with what a subclass has added."""
        copied = object.__new__(AzureMLRunLogger)
        copied._reset()
        return {**vars(self), **vars(copied)}

    @property
    def name(self) -> str:
        """Empty, so that Lightning's own checkpoints go to ``OUTPUT_DIR/checkpoints``."""
        return ""

    @property
    def version(self) -> str:
        """Empty, see ``name``."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self._folder.root)

    @property
    def root_dir(self) -> str:
        """The run folder: one folder, one run."""
        return self.save_dir

    @property
    def log_dir(self) -> str:
        """The run folder."""
        return self.save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """As ``run``, which is imported when something of it is used.

        The Trainer reads this property before it calls LightningCLI's SaveConfigCallback, which refuses to overwrite
        the ``config.yaml`` of an earlier run: it is moved to ``previous/NNN``.
        """
        if not self._has_opened and (moved := self._folder.archive_config()):
            log.info("%s: the earlier run's settings are moved to %s", self.save_dir, moved)
        return RunWhenUsed(self)

    @property
    @rank_zero_experiment
    def run(self) -> Any:
        """azureml-core's own ``Run``, for what this logger doesn't do; importing it takes a second.

        Outside a job it is azureml-core's offline run, which prints what it logs.

        Raises:
            UsageError: azureml-core isn't installed, or the metrics go by MLflow.
        """
        if self._run is None:
            require_core()
            from azureml.core import Run

            self._run = Run.get_context()
            before_threads_end(self._flush_run)
        return self._run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Writes a row; without ``step`` the step is one more than the last one of these metrics.

        Each call is a row of its own, whatever its step. Only a run that continues from a checkpoint doesn't write the
        rows again that it had written after that checkpoint.

        Raises:
            NonFiniteError: A value is NaN or infinite, and ``stop_on_nonfinite`` is set.
            OSError: The run folder can't be written to.
        """
        journal = self._open().journal
        epoch, values = split_epoch(self._numbers.of(metrics))
        if values or epoch is not None:
            step = journal.next_step(values) if step is None else int(step)
            if not journal.append(step, epoch, values):
                self._note_repetitions()
            if self._stop_on_nonfinite:
                require_finite(values, step)
        self._poll_sender()

    @rank_zero_only
    def log_hyperparams(
        self, params: Any = None, metrics: Any = None, step: int | None = None, *args: Any, **further: Any
    ) -> None:
        """Adds to ``hparams.yaml``, from which the run's tags are made; may be called again, also by a resumed run.

        If a name has another value already, all that is given goes to a section ``hparams_2``, ``hparams_3``, ...

        Args:
            params: A mapping, a namespace, a dataclass or the like, with values of any kind.
            metrics: Logged as by ``log_metrics``, as in Lightning's TensorBoardLogger.
            step: The step of ``metrics``.
            args: Ignored.
            further: Hyperparameters by name.

        Raises:
            TypeError: ``params`` has no names.
            OSError: The run folder can't be written to.
        """
        plain = to_hyperparameters(params, further)
        merge_hyperparameters(self._open().folder.hyperparameters, plain)
        if metrics:
            self.log_metrics(metrics, step)

    @rank_zero_only
    def log_confusion_matrix(
        self, name: str, matrix: Any, class_labels: Sequence[Any] | None = None, step: int = 0
    ) -> None:
        """``matrix``: (C, C), a row per true class, a column per predicted class; counts or shares, NaN for none."""
        self._charts().confusion_matrix(name, matrix, class_labels, step)

    @rank_zero_only
    def log_image(self, name: str, image: Any, step: int = 0) -> None:
        """``image``: a PIL image, a matplotlib figure, a path, an array or tensor, or a list or batch of these.

        Arrays are (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels: (H, W, C) wherever the last dimension is one
        of these. They hold integers from 0 to 255, uint16 from 0 to 65535, or floats from 0 to 1.
        """
        self._charts().image(name, image, step)

    @rank_zero_only
    def log_images(self, name: str, images: Any, captions: Sequence[Any] | None = None, step: int = 0) -> None:
        """``images``: N of what ``log_image`` accepts, or a batch, drawn as a picture (of 64) with a caption each."""
        self._charts().images(name, images, captions, step)

    @rank_zero_only
    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]], step: int = 0) -> None:
        """``columns``: the cells of each column by its name, of any kind; Azure ML shows the first 15 columns."""
        self._charts().table(name, columns, step)

    @rank_zero_only
    def log_list(self, name: str, values: Sequence[Any], step: int = 0) -> None:
        """``values``: numbers or texts; others become plain, as in ``hparams.yaml``."""
        self._charts().list(name, values, step)

    @rank_zero_only
    def log_evaluation(self, stage: str, evaluation: Mapping[str, Any], step: int = 0) -> None:
        """All values of a validation (``val``) or test (``test``): writes ``STAGE_metrics.json`` and logs its table.

        ``evaluation``: plain objects; ``classes`` in it is the table, a list of mappings with the same keys.
        """
        save_evaluation(self._open().folder, stage, evaluation, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Logs the sender's messages. It doesn't wait, because a test may follow; the end of the program waits."""
        self._has_failed = status == "failed"
        self._next_poll = 0.0
        self._poll_sender()

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Draws nothing; Lightning calls it when training starts, which is when checkpoints learn of the journal."""
        trainer = getattr(model, "_trainer", None)
        if isinstance(trainer, Trainer):
            attach(trainer)

    @rank_zero_only
    def continue_journal(self, positions: Mapping[str, int] | None, global_step: int) -> None:
        """The run continues from a checkpoint: rows that the journal has after it may come again, and aren't new.

        Args:
            positions: The next row by journal, as the checkpoint has it; None if it was saved without.
            global_step: The optimizer steps in the checkpoint.
        """
        journal = self._open().journal
        if positions is None:
            journal.continue_after_step(global_step)
        else:
            journal.continue_at(positions)

    @rank_zero_only
    def restart_journal(self) -> None:
        """The run starts again from the beginning, in its folder: all rows that the journal has may come again."""
        self._open().journal.continue_from(0)

    def journal_position(self) -> tuple[str, int]:
        """The identity of the journal and the number of its next row."""
        journal = self._open().journal
        return journal.identity.id, journal.position

    def close(self) -> None:
        """Waits up to ``exit_timeout`` for delivery; the end of the program calls it."""
        atexit.unregister(self.close)
        self._flush_run()
        opened, self._opened = self._opened, None
        if opened is None or not leave_folder(opened, id(self)) or opened.sender is None:
            return
        opened.note_status(FAILED if self._has_failed else FINISHED)
        _log_messages(opened.sender.finish(min(self._exit_timeout, max(1.0, self._exit_timeout - self._waited))))
        destination = opened.destination
        assert destination is not None
        run_id = destination.run_in(opened.folder)
        left = count_undelivered(opened.folder, run_id)
        if left:
            command = f"python -m lightning_app.deliver {self._folder.root}"
            log.warning("%s: %s undelivered; to deliver them: %s", destination.service, left, command)
        else:
            log.info("%s: %s rows delivered to run %s.", destination.service, f"{left.all_rows:,}", run_id)
        if destination.service == "Azure ML":
            log.info("%s", self._checkpoints_message())

    def _flush_run(self) -> None:
        """Sends what was logged by ``run`` itself; twice does no harm."""
        run, self._run = self._run, None
        if run is not None:
            started = time.monotonic()
            flush(run, self._exit_timeout)
            self._waited = time.monotonic() - started

    def _open(self) -> OpenFolder:
        if self._opened is None:
            self._opened = open_folder(self._folder, self._priority, id(self))
            self._has_opened = True
            atexit.register(self.close)
        return self._opened

    def _note_repetitions(self) -> None:
        if not self._has_noted_repetitions:
            self._has_noted_repetitions = True
            log.info("%s has the rows that are repeated now; they aren't written again.", self._folder.journal)

    def _charts(self) -> Charts:
        return Charts(self._open().folder.charts)

    def _poll_sender(self) -> None:
        sender = self._opened.sender if self._opened else None
        if sender is not None and time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            _log_messages(sender.ensure_running())

    def _checkpoints_message(self) -> str:
        found = sorted(str(path) for path in (self._folder.root / "checkpoints").glob("*.ckpt"))
        if Path("outputs").resolve() not in [self._folder.root.resolve(), *self._folder.root.resolve().parents]:
            return f"{self._folder.root} isn't in ./outputs, the only folder that Azure ML keeps of a job's disk."
        return f"Azure ML keeps {self._folder.root}, with {', '.join(found) or 'no checkpoint'}, when the job ends."


def _log_messages(lines: Sequence[str]) -> None:
    for line in lines:
        log.warning("%s", line)
