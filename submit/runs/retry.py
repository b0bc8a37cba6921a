"""Requests to Azure ML: errors in one line, and retries while they may help."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from submit.errors import ServiceError, SubmitError, describe_error

_TRANSIENT = {408, 425, 429}  # and all from 500 on
_LONGEST_DELAY = 20.0

Result = TypeVar("Result")


@contextmanager
def service_errors(what: str) -> Iterator[None]:
    """Turns all errors of azureml-core into ServiceError; its libraries' errors have no common base class."""
    try:
        yield
    except (SubmitError, ServiceError):
        raise
    except Exception as error:
        raise ServiceError(f"{what}: {describe_error(error)}") from error


def retry(what: str, action: Callable[[], Result], timeout: float, warn: Callable[[str], None]) -> Result:
    """Runs an action, and retries it for ``timeout`` seconds while its errors are transient.

    Raises:
        ServiceError: It still failed then, or the error isn't transient.
    """
    start, delay = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except SubmitError:
            raise
        except Exception as error:
            if not is_transient(error) or time.monotonic() - start + delay > timeout:
                raise ServiceError(f"{what}: {describe_error(error)}") from error
            if delay > 1:  # without a message for the first retries
                warn(f"{what}: {describe_error(error)}; retrying")
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


def is_transient(error: BaseException | None) -> bool:
    """Whether a retry may succeed: the connection or the service failed, and not the request."""
    while error is not None:
        status = http_status(error)
        if status is not None:
            return status >= 500 or status in _TRANSIENT
        if isinstance(error, _connection_errors()):
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
    from msrest.exceptions import ClientRequestError
    from requests.exceptions import RequestException

    return (ConnectionError, TimeoutError, ClientRequestError, RequestException)
