"""One sender at a time and folder, and how it bears with a service that fails."""

import os
import time
from collections.abc import Callable, Sequence

from filelock import FileLock

from lightning_app.delivery.courier import Courier
from lightning_app.delivery.run_service import DeliveryError, RunService
from lightning_app.run_folder import RunFolder

_LONGEST_PAUSE = 30.0  # seconds between two tries


class Session:
    """Delivers a run folder, again and again, as long as its owner wants.

    Must be used as a context manager: it holds the folder's lock, which ends with the process, however that ends.

    Raises:
        filelock.Timeout: Another sender is at work on the folder.
    """

    def __init__(
        self, folder: RunFolder, priority: Sequence[str], tell: Callable[[str], None], wait_for_lock: float = -1
    ) -> None:
        # azureml-core takes the expiry of the run's token for local time and compares it with UTC (measured)
        os.environ["TZ"] = "UTC"
        if hasattr(time, "tzset"):  # not on Windows
            time.tzset()
        self._folder, self._priority, self._tell = folder, priority, tell
        self._lock = FileLock(folder.delivery_lock, timeout=wait_for_lock)
        self._courier: Courier | None = None
        self._pause = 0.0
        self._failed_at = self._next_try = 0.0
        self.trouble: DeliveryError | None = None

    def __enter__(self) -> "Session":
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def deliver(self, *, at_the_end: bool) -> bool:
        """Whether all that is there now has been delivered; False as well where it is too early for another try.

        ``at_the_end`` nothing is left for later, and a new try comes every second; what the service asked for is
        still respected.
        """
        if at_the_end and self.trouble is not None:
            self._next_try = min(self._next_try, self._failed_at + max(1.0, self.trouble.retry_after))
        if time.monotonic() < self._next_try:
            return False
        try:
            if self._courier is None:
                self._courier = Courier(self._folder, RunService(), self._priority, self._tell)
            self._courier.deliver(at_the_end=at_the_end)
        except DeliveryError as error:
            self._wait(error)
            return False
        self.trouble, self._pause = None, 0.0
        return True

    def _wait(self, error: DeliveryError) -> None:
        self.trouble = error
        self._pause = min(_LONGEST_PAUSE, max(1.0, 2 * self._pause))
        self._failed_at = time.monotonic()
        self._next_try = self._failed_at + max(self._pause, error.retry_after)
