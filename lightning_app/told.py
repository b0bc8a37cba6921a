"""Which errors a user can mend, each told in one line."""

import errno
from collections.abc import Iterator

from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from lightning_app.errors import NonFiniteError, UsageError
from models import ModelError

_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

USER_ERRORS = (UsageError, NonFiniteError, DataError, ModelError)


def told(error: BaseException) -> str | None:
    """The one line for an error that the user can mend; None for any other."""
    for cause in _chain(error):  # the parser wraps what a constructor raises
        if isinstance(cause, USER_ERRORS):
            return _one_line(str(cause))
        if isinstance(cause, MisconfigurationException):
            return f"Lightning can't work with these settings: {_one_line(str(cause))}"
        if isinstance(cause, OSError) and cause.errno in _DISK_IS_FULL:
            return f"--output_dir: {cause.strerror} while writing; what was complete is kept, free some space and go on"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_line(text: str) -> str:
    if "Traceback (most recent call last)" in text:  # a DataLoader's worker sends it along, the message comes last
        text = [line for line in text.splitlines() if line.strip()][-1].partition("DataError: ")[2] or text
    return " ".join(text.split())
