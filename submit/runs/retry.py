"""Azure ML asked for something: a failure is one line, and is waited out where waiting may help."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from submit.errors import SubmitError
from submit.failures import FailureError, reason

_PASSING = {408, 425, 429}  # and all from 500 on
_LONGEST_PAUSE = 20.0

Result = TypeVar("Result")


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Anything that azureml-core raises becomes a FailureError; its libraries' errors have no base of their own."""
    try:
        yield
    except (SubmitError, FailureError):
        raise
    except Exception as error:
        raise FailureError(f"{what}: {reason(error)}") from error


def persistently(what: str, action: Callable[[], Result], patience: float, tell: Callable[[str], None]) -> Result:
    """The action's result, tried again for as many seconds while the failures are such as pass.

    Raises:
        FailureError: It still failed after that, or in a way that doesn't pass.
    """
    began, pause = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except SubmitError:
            raise
        except Exception as error:
            if not is_passing(error) or time.monotonic() - began + pause > patience:
                raise FailureError(f"{what}: {reason(error)}") from error
            if pause > 1:  # the first ones pass unnoticed
                tell(f"{what}: {reason(error)}; trying again")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_passing(error: BaseException | None) -> bool:
    """Whether a later attempt may do: the connection failed, or the service did, not the request."""
    while error is not None:
        status = http_status(error)
        if status is not None:
            return status >= 500 or status in _PASSING
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
