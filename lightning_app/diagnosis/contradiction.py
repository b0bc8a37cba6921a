"""What doesn't go together, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """``fatal`` where training refuses to start; anything else is ignored by it, and misleads other programs."""

    what: str
    remedy: str
    fatal: bool = False


def refusal(message: str) -> Contradiction:
    """An error of the training, whose message is what was found, a semicolon, and what to do."""
    what, _, remedy = message.partition("; ")
    return Contradiction(what, remedy, fatal=True)
