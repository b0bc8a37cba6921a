"""Errors that the user can fix; this module imports nothing."""


class UsageError(Exception):
    """A flag, a folder or a checkpoint can't be used; the message says what was given and what to do."""


class LaunchError(UsageError):
    """The launcher's variables don't match one another or the Trainer; the message has both values and a remedy."""


class NonFiniteError(Exception):
    """A metric is NaN or infinite, and the user asked to stop the run in that case."""


def one_line(error: BaseException) -> str:
    """The message of an error, or the name of its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
