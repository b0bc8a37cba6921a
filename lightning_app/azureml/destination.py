"""Where a run's rows go: to Azure ML by azureml-core, to Azure ML or an MLflow server by MLflow, or nowhere."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lightning_app.azureml import job
from lightning_app.azureml.mlflow.remembered_run import created_run_id
from lightning_app.azureml.mlflow.tracking import Tracking, parse_tracking
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

CHOICE = "LIGHTNING_APP_METRICS"  # azureml-core or mlflow, for a job that has the variables of both
BY_CORE, BY_MLFLOW = "azureml-core", "mlflow"
_TOKENS = ("AZUREML_RUN_TOKEN", "MLFLOW_TRACKING_TOKEN")


@dataclass(frozen=True)
class Destination:
    """A run at a service.

    Args:
        run_id: The run; None where it is created, see ``mlflow.created_run``.
        tracking: The MLflow interface; None for azureml-core.
        obstacle: Why nothing can be sent now, in one line; None if it can.
    """

    run_id: str | None
    tracking: Tracking | None = None
    obstacle: str | None = None

    @property
    def creates_runs(self) -> bool:
        """Whether each run folder gets a run of its own."""
        return self.tracking is not None and self.run_id is None

    @property
    def service(self) -> str:
        """The name of the service, for messages."""
        return "Azure ML" if self.tracking is None or self.tracking.is_azure else "MLflow"

    def run_in(self, folder: RunFolder) -> str:
        """The id of the run to which the folder's rows go; empty where it isn't created yet."""
        if self.run_id is not None or self.tracking is None:
            return self.run_id or ""
        return created_run_id(self.tracking, folder) or ""

    def describe(self) -> str:
        """One line, for the user."""
        run = f"run {self.run_id}" if self.run_id else "a run of this folder's own"
        if self.tracking is None:
            return f"Metrics go to {run} of Azure ML, by azureml-core."
        if self.tracking.is_azure:
            return f"Metrics go to {run} of Azure ML, by its MLflow interface."
        return f"Metrics go to {run} at the MLflow server {self.tracking.shown}."


def find_destination(environment: Mapping[str, str] = os.environ) -> Destination | None:
    """The destination that the variables name; None if they name none.

    A job of Azure ML has the variables of both interfaces. It is azureml-core's where that is installed, as in a job
    that was sent with SDK v1; ``LIGHTNING_APP_METRICS`` says otherwise.

    Raises:
        UsageError: ``LIGHTNING_APP_METRICS`` has a value that means nothing.
    """
    choice = environment.get(CHOICE) or None
    if choice not in (None, BY_CORE, BY_MLFLOW):
        raise UsageError(
            f"{CHOICE} is {choice!r:.100}; expected {BY_CORE!r} or {BY_MLFLOW!r}; unset it for the default"
        )
    core, mlflow = _by_core(environment), _by_mlflow(environment)
    if choice == BY_MLFLOW and mlflow is not None:
        return mlflow
    if core is None or choice == BY_CORE or core.obstacle is None:
        return core or mlflow
    return mlflow if mlflow is not None and mlflow.obstacle is None else core


def _by_core(environment: Mapping[str, str]) -> Destination | None:
    run = job.run_id(environment)
    if run is None:
        return None
    missing = "azureml-core isn't installed; install 'lightning-azureml[v1]'"
    return Destination(run, obstacle=None if is_core_installed() else missing)


def _by_mlflow(environment: Mapping[str, str]) -> Destination | None:
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return None
    run = environment.get("MLFLOW_RUN_ID") or None
    tracking = parse_tracking(uri)
    if tracking is None:
        return Destination(
            run, Tracking(uri), f"MLFLOW_TRACKING_URI {uri:.100}: expected http://, https:// or azureml://, a server"
        )
    if tracking.is_azure and not any(environment.get(name) for name in _TOKENS):
        return Destination(run, tracking, f"neither {_TOKENS[0]} nor {_TOKENS[1]} is set")
    return Destination(run, tracking)


def is_core_installed() -> bool:
    """Whether azureml-core can be imported; nothing of it is."""
    try:
        package = find_spec("azureml")
    except (ImportError, ValueError):
        return False
    places = package.submodule_search_locations if package else None
    return any((Path(place) / "core" / "__init__.py").is_file() for place in places or ())
