"""Takes what is submitted to the emulator, in its order, and works at so much of it at a time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submit.emulator import SubmittedJob

POLL_SECONDS = 0.2


class Submissions:
    """Calls ``run`` with each submission. Use it as a context manager, whose end waits for the work at hand.

    Args:
        submitted: All submissions until now, in their order.
        run: Works at one; it should end soon when ``stopped`` is set.
        concurrent: How many at a time; None for any number.
    """

    def __init__(
        self,
        submitted: Callable[[], Sequence["SubmittedJob"]],
        run: Callable[["SubmittedJob"], None],
        concurrent: int | None = None,
    ) -> None:
        self._submitted, self._run = submitted, run
        self.stopped = threading.Event()
        self._pool = ThreadPoolExecutor(concurrent)
        self._watcher = threading.Thread(target=self._watch, name="submissions", daemon=True)

    def __enter__(self) -> "Submissions":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._watcher.join()
        self._pool.shutdown(cancel_futures=True)

    def _watch(self) -> None:
        taken = 0
        while not self.stopped.wait(POLL_SECONDS):
            for submission in self._submitted()[taken:]:
                self._pool.submit(self._run, submission)
                taken += 1
