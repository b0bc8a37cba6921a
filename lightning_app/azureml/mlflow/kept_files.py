"""The files that Azure ML keeps of a run, by the interface that belongs to MLflow's."""

from typing import Any

from lightning_app.azureml.mlflow.rest import Rest
from lightning_app.azureml.mlflow.tracking import Tracking


class FilesByMlflow:
    """Lists files, and says from where they can be read.

    Args:
        tracking: The workspace.
        run_id: The run.
    """

    def __init__(self, tracking: Tracking, run_id: str) -> None:
        self._rest, self._run_id = Rest(tracking), run_id
        self._known: str | None = None

    def paths(self) -> list[str]:
        """The names of all files.

        Raises:
            DeliveryError: The service fails, or there is no such run.
        """
        found: list[str] = []
        query: dict[str, Any] = {}
        while True:
            page = self._rest.request("GET", self._address, params=query)
            found += [artifact["path"] for artifact in page["value"]]
            if not page.get("continuationToken"):
                return sorted(found)
            query["continuationToken"] = page["continuationToken"]

    def address(self, path: str) -> str:
        """From where a file can be read; raises as ``paths``."""
        address: str = self._rest.request("GET", f"{self._address}/contentinfo", params={"path": path})["contentUri"]
        return address

    @property
    def _address(self) -> str:
        """Asked for once: the address has the id of the run's experiment."""
        if self._known is None:
            experiment = self._rest.get("runs/get", run_id=self._run_id)["run"]["info"]["experiment_id"]
            tracking = self._rest.tracking
            runs = f"{tracking.host}/history/v1.0{tracking.scope}/experimentids/{experiment}/runs"
            self._known = f"{runs}/{self._run_id}/artifacts"
        return self._known
