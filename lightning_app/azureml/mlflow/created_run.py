"""The run that is created at an MLflow server for a run folder. A training that continues there continues its run."""

import getpass
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.azureml.mlflow.remembered_run import RUNNING, milliseconds_now, read_created, remember
from lightning_app.azureml.mlflow.rest import NotFoundError, Rest
from lightning_app.azureml.service import DeliveryError
from lightning_app.run_folder import RunFolder

_KEY = "lightning_azureml.folder_key"  # the tag by which a run is found whose creation wasn't acknowledged
_DEFAULT_EXPERIMENT = "0"


def require_created(rest: Rest, folder: RunFolder, environment: Mapping[str, str] = os.environ) -> str:
    """The id of the folder's run, which is created if there is none at this server.

    Raises:
        DeliveryError: The server fails; the next call continues from there.
    """
    known = read_created(folder)
    if known.get("server") != rest.tracking.shown:
        status = {name: known[name] for name in ("status", "at") if name in known}
        known = {
            "server": rest.tracking.shown,
            "key": uuid.uuid4().hex,
            "experiment_id": _experiment(rest, environment),
        }
        remember(folder, known | status)
        run_id = _create(rest, known)
    elif "run_id" in known:
        return str(known["run_id"])
    else:
        run_id = _find(rest, known) or _create(rest, known)
    remember(folder, {"run_id": run_id})
    return run_id


def report_status(rest: Rest, folder: RunFolder) -> None:
    """Reports how the training stands, if that has changed.

    Raises:
        DeliveryError: The server fails.
    """
    known = read_created(folder)
    status = known.get("status", RUNNING)
    if known.get("reported", RUNNING) == status:
        return
    ended = {} if status == RUNNING else {"end_time": known["at"]}
    rest.post("runs/update", {"run_id": known["run_id"], "status": status, **ended})
    remember(folder, {"reported": status})


def _experiment(rest: Rest, environment: Mapping[str, str]) -> str:
    if given := environment.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = environment.get("MLFLOW_EXPERIMENT_NAME")
    if not name:
        return _DEFAULT_EXPERIMENT
    try:
        return str(rest.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])
    except NotFoundError:
        try:
            return str(rest.post("experiments/create", {"name": name})["experiment_id"])
        except DeliveryError as error:
            if not error.malformed:
                raise
            # another process has created it meanwhile, or it is deleted, which the next request says
            return str(rest.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])


def _find(rest: Rest, known: Mapping[str, Any]) -> str | None:
    """The run of which the server has not confirmed that it has created it."""
    query = {
        "experiment_ids": [known["experiment_id"]],
        "filter": f"tags.`{_KEY}` = '{known['key']}'",
        "max_results": 1,
    }
    runs = rest.post("runs/search", query).get("runs", ())
    return str(runs[0]["info"]["run_id"]) if runs else None


def _create(rest: Rest, known: Mapping[str, Any]) -> str:
    tags = {_KEY: known["key"], "mlflow.user": _user(), "mlflow.source.name": _program(), "mlflow.source.type": "LOCAL"}
    content = {
        "experiment_id": known["experiment_id"],
        "start_time": milliseconds_now(),
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return str(rest.post("runs/create", content)["run"]["info"]["run_id"])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for its user
        return "unknown"


def _program() -> str:
    return Path(sys.argv[0]).name
