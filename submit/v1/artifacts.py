"""The files of a run, at addresses that are valid for some hours."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from lightning_app.azureml.run_artifacts import ORIGIN, artifact_address, http_status
from submit.interface import Properties

if TYPE_CHECKING:
    from azureml.core import Run

_EXPIRED = (401, 403)
_TIMEOUTS = (10, 60)  # seconds to connect, and between two packets of a response

Result = TypeVar("Result")


@dataclass(frozen=True)
class Blob:
    """The content of a file; the methods raise errors of requests."""

    address: str

    def properties(self) -> Properties:
        response = _session().head(self.address, timeout=_TIMEOUTS, headers=_PLAIN)
        response.raise_for_status()
        md5 = response.headers.get("Content-MD5")
        return Properties(
            size=int(response.headers["Content-Length"]),
            md5=base64.b64decode(md5).hex() if md5 else None,
            etag=response.headers.get("ETag", ""),
        )

    def read(self, start: int, length: int, version: str = "") -> bytes:
        """Bytes from ``start`` on; fewer or none at the end of the file or if it doesn't exist yet.

        ``version`` is the ETag that the file must have, if given.
        """
        headers = _PLAIN | {"Range": f"bytes={start}-{start + length - 1}"} | ({"If-Match": version} if version else {})
        response = _session().get(self.address, timeout=_TIMEOUTS, headers=headers)
        if response.status_code in (404, 416):
            return b""
        response.raise_for_status()
        content: bytes = response.content
        return content if response.status_code == 206 else content[start : start + length]


_PLAIN = {"Accept-Encoding": "identity"}  # so that offsets in the file are offsets in the response


class Artifact:
    """A ``submit.interface.RemoteFile``; its address is requested again when it has expired."""

    def __init__(self, run: "Run", path: str) -> None:
        self._run = run
        self._path = path
        self._blob: Blob | None = None

    def properties(self) -> Properties:
        return self._request(Blob.properties)

    def read(self, start: int, length: int, version: str = "") -> bytes:
        return self._request(lambda blob: blob.read(start, length, version))

    def _request(self, action: Callable[[Blob], Result]) -> Result:
        if self._blob is not None:
            try:
                return action(self._blob)
            except Exception as error:
                if http_status(error) not in _EXPIRED:
                    raise
        self._blob = Blob(artifact_address(self._run, self._path))
        return action(self._blob)


def artifact_store_path(run: "Run", path: str) -> str:
    """The path of a file in the workspace's artifact store."""
    return f"{ORIGIN}/{run._client._data_container_id}/{path}"


@lru_cache(maxsize=1)
def _session() -> Any:
    import requests

    return requests.Session()
