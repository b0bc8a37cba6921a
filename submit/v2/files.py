"""The files of a run, in the datastore of the workspace that has the outputs and logs of all its runs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from submit.interface import Properties
from submit.resuming import ARTIFACT_STORE
from submit.v2.datastore import container_client

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ORIGIN = "ExperimentRun"


class RunFiles:
    """All files of one run, by their paths in it."""

    def __init__(self, client: "MLClient", run_id: str) -> None:
        self._client = client
        self._folder = run_folder(run_id)

    def paths(self) -> Sequence[str]:
        found = _store(self._client).list_blobs(name_starts_with=f"{self._folder}/")
        return sorted(blob.name.removeprefix(f"{self._folder}/") for blob in found)

    def file(self, path: str) -> "BlobFile":
        return BlobFile(_store(self._client).get_blob_client(f"{self._folder}/{path}"))


class BlobFile:
    """A ``submit.interface.RemoteFile``."""

    def __init__(self, blob: Any) -> None:
        self._blob = blob

    def properties(self) -> Properties:
        found = self._blob.get_blob_properties()
        md5 = found.content_settings.content_md5
        return Properties(found.size, bytes(md5).hex() if md5 else None, str(found.etag))

    def read(self, start: int, length: int, version: str = "") -> bytes:
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError

        matching = {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}
        try:
            content: bytes = self._blob.download_blob(offset=start, length=length, **matching).readall()
        except HttpResponseError as error:
            if error.status_code in (404, 416):  # not yet there, or nothing after ``start``
                return b""
            raise
        return content


def run_folder(run_id: str) -> str:
    """The folder of a run's files in ``ARTIFACT_STORE``."""
    return f"{ORIGIN}/dcid.{run_id}"


@lru_cache(maxsize=1)
def _store(client: "MLClient") -> Any:
    return container_client(client, client.datastores.get(ARTIFACT_STORE, include_secrets=True))
