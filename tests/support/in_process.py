"""Commands of the program in the process of the test: importing torch and Lightning anew would take seconds each."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator

import torch

from lightning_app.main import main
from tests.support.commands import Outcome


def run_in_process(*arguments: str) -> Outcome:
    """Runs ``python -m lightning_app ARGUMENTS`` in the working directory.

    Each run needs a run folder of its own: the logger of an earlier one has its files open until the process ends.
    """
    out, err, status = io.StringIO(), io.StringIO(), 0
    with _restored_globals(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _restored_globals() -> Iterator[None]:
    """What a program sets for its whole process."""
    loggers = [logging.getLogger(name) for name in ("lightning_app", "datamodules", "models")]
    handlers, variables = [logger.handlers for logger in loggers], dict(os.environ)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does
            yield
    finally:
        for logger, earlier in zip(loggers, handlers, strict=True):
            logger.handlers = earlier
        os.environ.clear()
        os.environ.update(variables)
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False
