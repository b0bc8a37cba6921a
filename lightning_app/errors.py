"""Errors that the user can fix; this module imports nothing but the standard library."""

import errno
import re

_SHOWN = 60  # characters of a value in a message
_LONGEST = 800  # characters of a library's message, which may repeat a value of any length
_LONG_WORD = re.compile(rf"(\S{{{_SHOWN}}})\S{{240,}}")


class UsageError(Exception):
    """A flag, a folder or a checkpoint can't be used; the message says what was given and what to do."""


class LaunchError(UsageError):
    """The launcher's variables don't match one another or the Trainer; the message has both values and a remedy."""


class NonFiniteError(Exception):
    """A metric is NaN or infinite, and the user asked to stop the run in that case."""


def one_line(error: BaseException) -> str:
    """The message of an error, or the name of its class where it has none."""
    return in_one_line(str(error)) or type(error).__name__


def too_long_name(error: BaseException) -> str | None:
    """The message for a path with a name that no system takes; None for any other error."""
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    return f"{shown(error.filename)}: the name is too long ({error.strerror}); give a shorter one"


def in_one_line(text: str) -> str:
    """A text in one line; of long words the start is kept, and of long texts the start and the end."""
    line = _LONG_WORD.sub(r"\1...", " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def shown(value: object) -> str:
    """A value as a message shows it: in quotes where it isn't plain, and shortened."""
    text = str(value)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    quoted = short if re.fullmatch(r"[\w.,:/+*\[\]{}-]+", short, re.ASCII) else repr(short)
    return quoted if short == text else f"{quoted} ({len(text):,} characters)"
