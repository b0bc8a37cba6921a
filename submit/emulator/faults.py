"""Which of the ordered faults strikes which request."""

import random
import threading
from dataclasses import dataclass

from submit.rehearsal.answers import Answer, error, json_answer
from submit.rehearsal.faults import Fault


@dataclass(frozen=True)
class Strike:
    """What all orders together do to one request; whatever it waits for ends when it is released."""

    released: threading.Event
    delay: float = 0.0
    answer: Answer | None = None
    handled: bool = True
    lost: bool = False
    silent: bool = False

    def hold_up(self) -> None:
        if self.delay:
            self.released.wait(self.delay)

    def keep_silent(self) -> None:
        if self.silent:
            self.released.wait()


class Orders:
    """The faults in force."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._orders.append(_Order(fault))

    def clear(self) -> None:
        """Nothing goes wrong any more, and nothing waits."""
        with self._lock:
            self._orders.clear()
            self._release()

    def release(self) -> None:
        """Ends the waiting of requests that were struck; for the next ones all stays in force."""
        with self._lock:
            self._release()

    def strike(self, path: str) -> Strike:
        """What is to happen to a request; the first order that keeps its answer from it is the last that counts."""
        delay = 0.0
        with self._lock:
            for order in self._orders:
                if not order.strikes(path):
                    continue
                if order.fault.kind != "slow":
                    return order.strike(self._released, delay)
                delay += order.fault.seconds
            return Strike(self._released, delay)

    def rejects(self, metric: str) -> bool:
        with self._lock:
            return any(order.fault.kind == "reject_metric" and order.fault.name == metric for order in self._orders)

    def denies_quota(self) -> bool:
        with self._lock:
            return any(order.fault.kind == "quota" for order in self._orders)

    def _release(self) -> None:
        self._released.set()
        self._released = threading.Event()


class _Order:
    """A fault with what is left of it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.times
        self._coin = random.Random(fault.seed)  # noqa: S311 a fault that can be repeated, not a secret

    def strikes(self, path: str) -> bool:
        if self.fault.kind in ("reject_metric", "quota") or self.fault.path not in path or self._left == 0:
            return False
        if self.fault.probability < 1 and self._coin.random() >= self.fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def strike(self, released: threading.Event, delay: float) -> Strike:
        if self.fault.kind == "status":
            return Strike(released, delay, answer=_answer(self.fault), handled=False)
        handled = self._coin.random() < 0.5 if self.fault.handled is None else self.fault.handled
        return Strike(released, delay, handled=handled, lost=True, silent=self.fault.kind == "silence")


def _answer(fault: Fault) -> Answer:
    answer = json_answer(error("Rehearsed", f"status {fault.code} was ordered for {fault.path!r}"), fault.code)
    extra = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Answer(answer.status, answer.body, {**answer.headers, **extra})
