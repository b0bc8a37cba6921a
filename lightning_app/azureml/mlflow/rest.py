"""Requests to the MLflow REST interface: one request, one response or a DeliveryError."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from lightning_app.azureml.mlflow.credentials import configured_session
from lightning_app.azureml.mlflow.tracking import Tracking
from lightning_app.azureml.service import DeliveryError, delivery_error

log = logging.getLogger(__name__)

_TIMEOUTS = (10.0, 20.0)  # seconds to connect, and between two parts of a response
_NOT_SENT = ("NewConnectionError", "ConnectTimeout", "NameResolutionError")
_API = "/api/2.0/mlflow"


class Rest:
    """The interface of a server or a workspace; connections are kept."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self._session = configured_session(tracking)

    def get(self, path: str, **query: Any) -> Any:
        """``path`` is one such as ``runs/get``; what is returned is the response's content."""
        return self.request("GET", f"{self.tracking.url}{_API}/{path}", params=query)

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        return self.request("POST", f"{self.tracking.url}{_API}/{path}", json=content)

    def request(self, method: str, url: str, **options: Any) -> Any:
        """The content of the response; None where it is empty.

        Raises:
            DeliveryError: There is no response, or it reports a failure.
        """
        with _as_delivery_error(self.tracking):
            response = self._session.request(method, url, timeout=_TIMEOUTS, **options)
            if not response.ok:
                raise _refusal(response)
            return response.json() if response.content else None

    def put_blob(self, address: str, content: bytes) -> None:
        """Writes a file to an address of Azure's storage, whose query has a signature in place of a token."""
        with _as_delivery_error(self.tracking):
            headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
            response = requests.put(address, content, timeout=_TIMEOUTS, headers=headers)
            if not response.ok:
                raise _refusal(response)


class NotFoundError(DeliveryError):
    """There is no such run, experiment or metric."""


@contextlib.contextmanager
def _as_delivery_error(tracking: Tracking) -> Iterator[None]:
    try:
        yield
    except requests.RequestException as error:
        log.info("%s", error)
        never_sent = any(name in repr(error) for name in _NOT_SENT)
        raise delivery_error(_reason(error, tracking), None, {}, never_sent=never_sent) from error


def _reason(error: requests.RequestException, tracking: Tracking) -> str:
    """Without the address of a file, which is secret, and without the five errors that requests names."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {tracking.shown} isn't accepted"
    if isinstance(error, requests.Timeout):
        return f"no response from {tracking.shown} in time"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {tracking.shown}"
    return str(error).partition("?")[0] or type(error).__name__


def _refusal(response: requests.Response) -> DeliveryError:
    code, message = "", ""
    with contextlib.suppress(ValueError, AttributeError):
        content = response.json()
        error = content.get("error") if isinstance(content.get("error"), dict) else content
        code, message = str(error.get("error_code") or error.get("code") or ""), str(error.get("message") or "")
    text = message.strip() or response.reason or "no reason"
    shown = f"{response.status_code}: {text.splitlines()[0]:.300}"
    log.info("%s", shown)
    if response.status_code == 404 or code == "RESOURCE_DOES_NOT_EXIST":
        return NotFoundError(shown, unconfirmed=False, status_code=404)
    return delivery_error(shown, response.status_code, response.headers, never_sent=False)
