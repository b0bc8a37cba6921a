"""The files of a run, at the addresses that Azure ML gives out for some hours."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from submit.runs.retry import http_status

if TYPE_CHECKING:
    from azureml.core import Run

_ORIGIN = "ExperimentRun"
_EXPIRED = (401, 403)
_SECONDS = (10, 60)  # to connect, and between two pieces of an answer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Properties:
    """Of a file as it is there now; ``md5`` is None where the service has none, as of files in several pieces."""

    size: int
    md5: str | None
    etag: str


@dataclass(frozen=True)
class Blob:
    """A file's content; whatever is raised here is an error of requests."""

    address: str

    def properties(self) -> Properties:
        answer = _session().head(self.address, timeout=_SECONDS, headers=_PLAIN)
        answer.raise_for_status()
        md5 = answer.headers.get("Content-MD5")
        return Properties(
            size=int(answer.headers["Content-Length"]),
            md5=base64.b64decode(md5).hex() if md5 else None,
            etag=answer.headers.get("ETag", ""),
        )

    def read(self, start: int, length: int, version: str = "") -> bytes:
        """The bytes from a place on, as many as there are; none where the file doesn't have any there, or isn't yet.

        ``version`` is the etag that the file must still have, if it matters.
        """
        headers = _PLAIN | {"Range": f"bytes={start}-{start + length - 1}"} | ({"If-Match": version} if version else {})
        answer = _session().get(self.address, timeout=_SECONDS, headers=headers)
        if answer.status_code in (404, 416):
            return b""
        answer.raise_for_status()
        content: bytes = answer.content
        return content if answer.status_code == 206 else content[start : start + length]


_PLAIN = {"Accept-Encoding": "identity"}  # so that places in the file are places in the answer


class Artifact:
    """A file of a run, at an address that is asked for again when it has expired."""

    def __init__(self, run: "Run", path: str) -> None:
        self._run = run
        self._path = path
        self._blob: Blob | None = None

    def ask(self, question: Callable[[Blob], Result]) -> Result:
        if self._blob is not None:
            try:
                return question(self._blob)
            except Exception as error:
                if http_status(error) not in _EXPIRED:
                    raise
        client = self._run._client
        self._blob = Blob(client.artifacts.get_file_uri(_ORIGIN, client._data_container_id, self._path))
        return question(self._blob)


def list_paths(run: "Run") -> Sequence[str]:
    """The names of all files of the run.

    azureml-core's own get_file_names asks in a thread, which goes on for half a minute after the user's interrupt.
    """
    client, container = run._client.artifacts, run._client._data_container_id
    found: list[str] = []
    token = None
    while True:
        page = client._execute_with_workspace_arguments(
            client._client.artifact.list_in_container, _ORIGIN, container, continuation_token=token
        )
        found += [artifact.path for artifact in page.value]
        token = page.continuation_token
        if not token:
            return sorted(found)


def artifact_store_path(run: "Run", path: str) -> str:
    """Where it is in the workspace's store of artifacts."""
    return f"{_ORIGIN}/{run._client._data_container_id}/{path}"


@lru_cache(maxsize=1)
def _session() -> Any:
    import requests

    return requests.Session()
