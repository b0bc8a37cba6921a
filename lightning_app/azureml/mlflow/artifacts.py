"""Files of an MLflow run: through the server, or, at Azure ML, by an address with a signature."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from lightning_app.azureml.mlflow.rest import Rest
from lightning_app.azureml.service import DeliveryError, KeepsNoFilesError

_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class ArtifactStore:
    """Where the files of a run go.

    Args:
        rest: The interface.
        info: Of the run, as ``runs/get`` returns it.
    """

    def __init__(self, rest: Rest, info: Mapping[str, Any]) -> None:
        self._rest, self._info = rest, info

    def upload(self, path: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            DeliveryError: The service fails; Azure ML refuses a path that exists.
            KeepsNoFilesError: The server doesn't take files itself.
        """
        if self._rest.tracking.is_azure:
            self._rest.put_blob(self._blob(path), content)
        else:
            self._rest.request("PUT", f"{self._address()}/{quote(path)}", data=content)

    def _blob(self, path: str) -> str:
        """Announces the file; returns the address to which its content goes."""
        tracking, experiment, run = self._rest.tracking, self._info["experiment_id"], self._info["run_id"]
        runs = f"{tracking.host}/history/v1.0{tracking.scope}/experimentids/{experiment}/runs"
        answer = self._rest.request("POST", f"{runs}/{run}/artifacts/batch/metadata", json={"paths": [{"path": path}]})
        if refused := answer.get("errors"):
            raise DeliveryError(f"the file {path} is refused: {refused}"[:300], unconfirmed=False)
        address: str = answer["artifactContentInformation"][path]["contentUri"]
        return address

    def _address(self) -> str:
        uri = str(self._info.get("artifact_uri", ""))
        parts = urlsplit(uri)
        if parts.scheme == "mlflow-artifacts":
            server = self._rest.tracking.url
            if parts.netloc:
                server = f"{urlsplit(server).scheme}://{parts.netloc}"
            return f"{server}{_PROXY}/{quote(parts.path.strip('/'))}"
        if parts.scheme in ("http", "https"):
            return uri.rstrip("/")
        raise KeepsNoFilesError(f"the server keeps files in {uri:.100} and takes none itself")
