"""Errors of submit that a user can mend."""

from collections.abc import Sequence


class SubmitError(Exception):
    """Something about a job can't be as it was asked for; the message says what was given, expected, and to do."""


class PreflightError(SubmitError):
    """Reasons not to send a job, a line each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)
