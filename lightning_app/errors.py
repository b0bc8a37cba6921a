"""Errors of the program that a user can mend; importing them costs nothing."""


class UsageError(Exception):
    """A flag, a folder or a checkpoint can't be used; the message names it, what was found and what to do."""


class LaunchError(UsageError):
    """What started the processes contradicts itself or the Trainer; the message has both numbers and what to change."""


class NonFiniteError(Exception):
    """A metric is NaN or infinite, and the user asked for the run to end then."""
