"""``.mlflow.jsonl``: which run was created at an MLflow server for a run folder, and how its training stands.

It has a line for each thing that becomes known. The training and the sender add to it.
"""

import time
from collections.abc import Mapping
from typing import Any

from lightning_app.azureml.json_lines import JsonLines, complete_last_line, read_json_lines
from lightning_app.azureml.mlflow.tracking import Tracking
from lightning_app.run_folder import RunFolder

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"


def read_created(folder: RunFolder) -> dict[str, Any]:
    """What is remembered: ``server``, ``key``, ``experiment_id``, ``run_id``, ``status`` and ``reported``."""
    content: dict[str, Any] = {}
    if folder.mlflow_run.exists():
        for line in read_json_lines(folder.mlflow_run):
            content = line if "server" in line else content | line
    return content


def remember(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Adds a line; the training and the sender both do."""
    complete_last_line(folder.mlflow_run)
    lines = JsonLines(folder.mlflow_run)
    lines.append(content)
    lines.close()


def note_status(folder: RunFolder, status: str) -> None:
    """How the training stands now, which the sender reports to the server."""
    if read_created(folder).get("status") != status:
        remember(folder, {"status": status, "at": milliseconds_now()})


def created_run_id(tracking: Tracking, folder: RunFolder) -> str | None:
    """The run of the folder at this server; None if there is none yet."""
    known = read_created(folder)
    return known.get("run_id") if known.get("server") == tracking.shown else None


def milliseconds_now() -> int:
    return round(time.time() * 1000)
