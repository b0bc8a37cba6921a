"""The artifacts of a run, which are its files at Azure ML, and which failures of such requests may pass."""

import sys
from typing import Any

ORIGIN = "ExperimentRun"
_TRANSIENT = {408, 425, 429}  # and all from 500 on
# of the libraries below the SDKs, which have no common base class
_CONNECTION_ERRORS = (
    ("requests.exceptions", "RequestException"),
    ("msrest.exceptions", "ClientRequestError"),
    ("azure.core.exceptions", "ServiceRequestError"),
    ("azure.core.exceptions", "ServiceResponseError"),
)


def artifact_paths(run: Any) -> list[str]:
    """The names of all files of a run.

    azureml-core's get_file_names uses a thread, which continues for half a minute after Ctrl-C.
    """
    client, container = run._client.artifacts, run._client._data_container_id
    paths: list[str] = []
    token = None
    while True:
        page = client._execute_with_workspace_arguments(
            client._client.artifact.list_in_container, ORIGIN, container, continuation_token=token
        )
        paths += [artifact.path for artifact in page.value]
        token = page.continuation_token
        if not token:
            return sorted(paths)


def artifact_address(run: Any, path: str) -> str:
    """The address of a file, which is valid for some hours; its query has a signature."""
    address: str = run._client.artifacts.get_file_uri(ORIGIN, run._client._data_container_id, path)
    return address


def is_transient(error: BaseException | None) -> bool:
    """Whether a retry may succeed: the connection or the service failed, and not the request."""
    while error is not None:
        status = http_status(error)
        if status is not None:
            return status >= 500 or status in _TRANSIENT
        if isinstance(error, (ConnectionError, TimeoutError, *_connection_errors())):
            return True
        error = error.__cause__ or error.__context__
    return False


def http_status(error: BaseException) -> int | None:
    """The HTTP status of the response that caused the error."""
    status: Any = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _connection_errors() -> tuple[type[BaseException], ...]:
    """Those of the libraries that are loaded; no other can have raised the error."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in _CONNECTION_ERRORS)
    return tuple(each for each in found if each is not None)
