"""Requests to Azure ML: errors in one line, and retries while they may help."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from lightning_app.azureml.run_artifacts import is_transient
from submit.errors import ServiceError, SubmitError, describe_error

_LONGEST_DELAY = 20.0

Result = TypeVar("Result")


@contextmanager
def service_errors(what: str) -> Iterator[None]:
    """Turns all errors of an SDK into ServiceError; its libraries' errors have no common base class."""
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
