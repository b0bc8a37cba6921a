"""azureml-core's own run, for what the logger doesn't do: imported when it is used, flushed before the program ends."""

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from lightning_app.azureml.destination import find_destination, is_core_installed
from lightning_app.errors import UsageError, one_line

log = logging.getLogger(__name__)


class HasRun(Protocol):
    """The logger."""

    @property
    def run(self) -> Any: ...


class RunWhenUsed:
    """Has all attributes of a logger's run, which is created when the first of them is read.

    The Trainer reads ``logger.experiment`` before training, whether anybody uses it or not, and the import of
    azureml-core takes a second.
    """

    def __init__(self, logger: HasRun) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by copy, pickle and inspect
            raise AttributeError(name)
        return getattr(self._logger.run, name)

    def __repr__(self) -> str:
        return "<the run of azureml-core, imported when it is used>"


def require_core() -> None:
    """Raises UsageError where azureml-core isn't installed, or the metrics go by MLflow."""
    destination = find_destination()
    if destination is not None and destination.tracking is not None:
        raise UsageError(
            "logger.run is azureml-core's, and the metrics go by MLflow here; log with mlflow.MlflowClient to the run "
            "that MLFLOW_RUN_ID names"
        )
    if not is_core_installed():
        raise UsageError("logger.run is azureml-core's, which isn't installed; install 'lightning-azureml[v1]'")


def flush(run: Any, timeout: float) -> None:
    """Sends what the run has collected, and waits for that up to ``timeout`` seconds; a failure is logged."""
    failures: list[Exception] = []
    thread = threading.Thread(target=_flush, args=(run, timeout, failures), daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive() or failures:
        reason = one_line(failures[0]) if failures else f"no response for {timeout:g} s"
        log.warning("Azure ML: what was logged by logger.run may not have arrived (%s).", reason)


def _flush(run: Any, timeout: float, failures: list[Exception]) -> None:
    with contextlib.suppress(AttributeError):  # an offline run collects nothing
        client = run._client
        try:
            client.flush(timeout_seconds=timeout)
        except Exception as error:  # of azureml-core and of what it uses
            failures.append(error)


def before_threads_end(function: Callable[[], None]) -> None:
    """Has the function called at the end of the program while threads can still be started.

    azureml-core sends from a pool of threads, and those of the standard library take nothing any more when the handlers
    of ``atexit`` run.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    with contextlib.suppress(RuntimeError):  # the program is ending already
        register(function)
