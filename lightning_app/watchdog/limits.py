"""How long things may take, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Defaults that end a broken job within half a minute.

    Args:
        beat: Between two signs of life.
        lost: Without a sign of life, after which a process counts as lost.
        grace: After somebody has left early, for a better reason to be told.
        collective: The same after an error of the communication, which always has a cause elsewhere.
        stall: For which one process may keep the others waiting.
        patient: The same while it starts, or prepares, reads or saves data.
        start: For all processes to come up.
        end: For a process to end by itself.
    """

    beat: float = 1.0
    lost: float = 10.0
    grace: float = 1.5
    collective: float = 12.0
    stall: float = 20.0
    patient: float = 1800.0
    start: float = 300.0
    end: float = 5.0
