"""The documented limits of the service, which the client doesn't check by itself.

From https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from submit.emulator.messages import ApiError

METRIC_NAMES = 50
ROWS_A_BATCH = 250
COLUMNS = 15
CHARACTERS = 255
LABELS = 50
LABEL_NAME = 100
LABEL_VALUE = 1000
DISPLAY_NAME = 256
ARTIFACT_PATH = 5000


def check_batch(rows: int) -> None:
    """Raises ApiError for a batch with too many rows."""
    if rows > ROWS_A_BATCH:
        raise ApiError(400, "BadArgument", f"the batch has {rows} rows; a batch holds {ROWS_A_BATCH} at most")


def metric_errors(
    name: str, columns: Mapping[str, str], rows: Collection[Mapping[str, Any]], known: Collection[str]
) -> Iterator[str]:
    """Errors of a metric, given the names that the run has already."""
    if not 0 < len(name) <= CHARACTERS:
        yield f"the metric's name has {len(name)} characters; 1 to {CHARACTERS} are allowed"
    if name not in known and len(known) >= METRIC_NAMES:
        yield f"the run has {len(known)} metric names; {METRIC_NAMES} are allowed"
    if max([len(columns), *map(len, rows)]) > COLUMNS:
        yield f"the metric has more than {COLUMNS} columns"
    if any(len(column) > CHARACTERS for column in columns):
        yield f"the name of a column has more than {CHARACTERS} characters"
    if any(isinstance(value, str) and len(value) > CHARACTERS for row in rows for value in row.values()):
        yield f"a value has more than {CHARACTERS} characters"


def check_labels(what: str, labels: Mapping[str, str | None]) -> None:
    """Raises ApiError for tags or properties that a run can't have."""
    if len(labels) > LABELS:
        raise ApiError(400, "BadArgument", f"{len(labels)} {what}; a run has {LABELS} at most")
    for name, value in labels.items():
        if len(name) > LABEL_NAME or len(value or "") > LABEL_VALUE:
            raise ApiError(
                400,
                "BadArgument",
                f"{what}: {name[:LABEL_NAME]!r} has {len(name)} characters ({LABEL_NAME} are allowed) "
                f"and its value {len(value or '')} ({LABEL_VALUE} are allowed)",
            )


def path_error(path: str) -> str | None:
    """Why this can't be the name of a file; None if it can.

    A path leads into a folder when it is written to one, and never out of it.
    """
    if len(path) > ARTIFACT_PATH:
        return f"the path has {len(path)} characters; {ARTIFACT_PATH} are allowed"
    if "\0" in path or any(name in ("", ".", "..") for name in path.split("/")):
        return f"the path {path!r:.100} is empty, absolute, or leads out of its folder"
    return None


def check_path(path: str) -> None:
    """Raises ApiError for a path that no file can have."""
    if reason := path_error(path):
        raise ApiError(400, "UserError", reason)


_RUN_ID = re.compile(r"\w[\w.-]{0,254}")


def check_run_id(name: str) -> None:
    """Raises ApiError for what can't be the id of a run, which names folders and addresses."""
    if not _RUN_ID.fullmatch(name):
        raise ApiError(400, "UserError", f"the run id {name!r:.100}: expected letters, digits, '_', '-', at most 255")


def check_display_name(name: str) -> None:
    """Raises ApiError for a name that is too long."""
    if len(name) > DISPLAY_NAME:
        raise ApiError(400, "BadArgument", f"the display name has {len(name)} characters; {DISPLAY_NAME} are allowed")
