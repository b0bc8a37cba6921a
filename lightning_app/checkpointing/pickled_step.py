"""The optimizer steps in a checkpoint, read from its pickle without carrying the pickle out."""

import pickletools
import zipfile
from pathlib import Path

_NAME = "global_step"  # Lightning saves it as one of the first values
_WHOLE_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1")
_REMEMBERED = ("BINPUT", "LONG_BINPUT", "MEMOIZE")  # between a name and its value


def pickled_step(checkpoint: Path) -> int | None:
    """The number of optimizer steps; None if the file is damaged at that place or says nothing of steps.

    The pickle's operations are read one after the other, and none of them is carried out: nothing is imported, called
    or built. What a hostile file says here may be wrong, but does no harm.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(name) as file:
                return _value_after_name(file)
    except Exception:  # damage makes errors of many kinds, of three modules
        return None


def _value_after_name(file: object) -> int | None:
    is_next = False
    for operation, value, _ in pickletools.genops(file):  # type: ignore[arg-type]  # a file of bytes
        if is_next and operation.name not in _REMEMBERED:
            return value if operation.name in _WHOLE_NUMBERS and isinstance(value, int) and value >= 0 else None
        is_next = is_next or (operation.name.endswith("BINUNICODE") and value == _NAME)
    return None
