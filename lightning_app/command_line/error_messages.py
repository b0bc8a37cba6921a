"""The one-line messages for errors that the user can fix; those of the parser are in ``parse_errors``."""

import errno
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import lightning_fabric
import pytorch_lightning
from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from lightning_app.errors import NonFiniteError, UsageError, in_one_line, too_long_name
from models import ModelError

_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_LIGHTNING = tuple(package.__path__[0] for package in (pytorch_lightning, lightning_fabric))
_ROOT = Path(__file__).parents[2]
_NOT_THE_USERS = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    *(str(_ROOT / package) for package in ("lightning_app", "datamodules", "models")),
)

# jsonargparse about the constructor of one of Lightning's classes
_LIGHTNING_CLASS = re.compile(
    r"Problem with given class_path 'pytorch_lightning[\w.]*\.(\w+)': (.*?)(?= - | Given value|$)"
)

_USER_ERRORS = (UsageError, NonFiniteError, DataError, ModelError)


def user_error_message(error: BaseException) -> str | None:
    """The one-line message for an error that the user can fix; None for any other error."""
    for cause in _causes(error):  # the parser wraps the errors of constructors
        if isinstance(cause, _USER_ERRORS):
            return _one_line(str(cause))
        if isinstance(cause, MisconfigurationException) or is_refusal(cause):
            return f"Lightning can't work with these settings: {_one_line(str(cause))}"
        if isinstance(cause, ValueError) and (match := _LIGHTNING_CLASS.search(_one_line(str(cause)))):
            return f"{match[1]}: {match[2]}"
        if isinstance(cause, OSError) and cause.errno in _DISK_IS_FULL:
            return f"--output_dir: {cause.strerror} while writing; free some space and give the same command again"
        if message := too_long_name(cause):
            return message
    return None


def is_refusal(error: BaseException) -> bool:
    """Whether Lightning itself has raised the error, by a statement of its own, and no code of the user's called it.

    Lightning refuses settings by errors of many kinds; a TypeError of a call that it makes is no refusal.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, Exception) or not frames:
        return False
    *_, last = frames
    raised = (last.line or "").startswith("raise ") and _is_below(last.filename, _LIGHTNING)
    return raised and all(_is_below(frame.filename, (*_LIGHTNING, *_NOT_THE_USERS)) for frame in frames)


def _is_below(filename: str, folders: Iterable[str]) -> bool:
    return filename.startswith("<") or any(Path(filename).is_relative_to(folder) for folder in folders)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_line(text: str) -> str:
    if "Traceback (most recent call last)" in text:  # from a worker of a DataLoader; the message comes last
        text = [line for line in text.splitlines() if line.strip()][-1].partition("DataError: ")[2] or text
    return in_one_line(text)
