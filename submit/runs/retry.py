"""Requests to Azure ML: errors in one line, and retries while they may help."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from submit.errors import ServiceError, SubmitError, describe_error

_TRANSIENT = {408, 425, 429}  # and all from 500 on
_LONGEST_PAUSE = 20.0

Result = TypeVar("Result")


@contextmanager
def service_errors(what: str) -> Iterator[None]:
    """Anything that azureml-core raises becomes a ServiceError; its libraries' errors have no base of their own."""
    try:
        yield
    except (SubmitError, ServiceError):
        raise
    except Exception as error:
        raise ServiceError(f"{what}: {describe_error(error)}") from error


def retry(what: str, action: Callable[[], Result], patience: float, tell: Callable[[str], None]) -> Result:
    """The action's result, tried again for as many seconds while the failures are such as pass.

    Raises:
        ServiceError: It still failed after that, or in a way that doesn't pass.
    """
    began, pause = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except SubmitError:
            raise
        except Exception as error:
            if not is_transient(error) or time.monotonic() - began + pause > patience:
                raise ServiceError(f"{what}: {describe_error(error)}") from error
            if pause > 1:  # the first ones pass unnoticed
                tell(f"{what}: {describe_error(error)}; trying again")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_transient(error: BaseException | None) -> bool:
    """Whether a later attempt may do: the connection failed, or the service did, not the request."""
    while error is not None:
        status = http_status(error)
        if status is not None:
            return status >= 500 or status in _TRANSIENT
        if isinstance(error, _connection_errors()):
            return True
        error = error.__cause__ or error.__context__
    return False


def http_status(error: BaseException) -> int | None:
    """The status of the answer that the error is about."""
    status: Any = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _connection_errors() -> tuple[type[BaseException], ...]:
    from msrest.exceptions import ClientRequestError
    from requests.exceptions import RequestException

    return (ConnectionError, TimeoutError, ClientRequestError, RequestException)
