"""Requests to a blob container, with retries."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from submit.errors import ServiceError, cause_of, describe_error
from submit.interface import Datastore

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_WAIT = 60.0
# azureml-core's own policy waits 15 s before the first retry, and 22 hours for a response
_ONCE = {"retry_total": 0, "connection_timeout": 20, "read_timeout": 60}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Blob:
    """A blob; one made of blocks has an MD5 only if the client set it."""

    size: int
    md5: bytes | None


class Container:
    """The container of a datastore.

    It uses the client of the SDK's own library for blobs. azureml-core's ``datastore.upload`` uses the same, but it
    takes each existing name for an uploaded file whatever its content, it logs a failed file and succeeds, and it can't
    continue within a large file; ``Dataset.File.upload_directory`` needs azureml-dataset-runtime.

    Methods raise ServiceError when a retry doesn't help, or when ``stopped`` is set.
    """

    def __init__(self, datastore: Datastore, stopped: threading.Event) -> None:
        self._client, self._models = datastore.client, datastore.models
        self._stopped = stopped

    def blobs(self, folder: str) -> dict[str, Blob]:
        """All blobs in a folder, by their paths in it."""
        start = f"{folder}/"
        blobs = self._retry(lambda: list(self._client.list_blobs(name_starts_with=start, **_ONCE)))
        return {blob.name.removeprefix(start): _blob_from(blob) for blob in blobs}

    def put(self, path: str, content: bytes, md5: bytes) -> None:
        """Writes a blob in one request, over an existing one."""
        settings = self._settings(md5)
        blob = self._client.get_blob_client(path)
        self._retry(
            lambda: blob.upload_blob(
                content, length=len(content), overwrite=True, content_settings=settings, validate_content=True, **_ONCE
            )
        )

    def staged(self, path: str) -> set[str]:
        """The uncommitted blocks of a blob; Azure keeps them for a week."""
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._client.get_blob_client(path)

        def request() -> set[str]:
            try:
                return {block.id for block in blob.get_block_list("uncommitted", **_ONCE)[1]}
            except ResourceNotFoundError:
                return set()

        return self._retry(request)

    def stage(self, path: str, block: str, content: bytes) -> None:
        blob = self._client.get_blob_client(path)
        self._retry(lambda: blob.stage_block(block, content, length=len(content), validate_content=True, **_ONCE))

    def commit(self, path: str, blocks: Sequence[str], md5: bytes) -> None:
        """Commits the blocks, which makes the blob visible."""
        settings = self._settings(md5)
        named = [self._models.BlobBlock(block) for block in blocks]
        blob = self._client.get_blob_client(path)
        self._retry(lambda: blob.commit_block_list(named, content_settings=settings, **_ONCE))

    def _retry(self, request: Callable[[], Result]) -> Result:
        from azure.core.exceptions import AzureError

        waits = iter(WAITS)
        while True:
            try:
                return request()
            except Exception as failure:
                error = cause_of(failure)
                if not isinstance(error, AzureError):
                    raise
                wait = next(waits, None) if _is_transient(error) else None
                if wait is None or self._stopped.wait(max(wait, _retry_after(error))):
                    raise ServiceError(self._reason(error)) from error

    def _settings(self, md5: bytes) -> Any:
        return self._models.ContentSettings(content_type="application/octet-stream", content_md5=bytearray(md5))

    def _reason(self, error: Exception) -> str:
        from azure.core.exceptions import ServiceRequestError, ServiceResponseError

        if isinstance(error, ServiceRequestError | ServiceResponseError):
            return f"no response from {self._client.primary_hostname}; the same command continues later"
        return describe_error(error)


def _blob_from(blob: Any) -> Blob:
    md5 = blob.content_settings.content_md5
    return Blob(blob.size, bytes(md5) if md5 else None)


def _is_transient(error: Any) -> bool:
    status = getattr(error, "status_code", None) or 0
    return status < 400 or status in (408, 429) or status >= 500  # without a status, no complete response came


def _retry_after(error: Any) -> float:
    headers = getattr(getattr(error, "response", None), "headers", {})
    seconds = str(headers.get("Retry-After", ""))
    return min(float(seconds), LONGEST_WAIT) if seconds.isdecimal() else 0.0
