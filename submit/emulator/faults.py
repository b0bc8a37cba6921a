"""Fault injection: what can go wrong with requests, and with which ones it does."""

import random
import threading
from dataclasses import dataclass

from submit.emulator.messages import Response, error_content, json_response


@dataclass(frozen=True)
class Fault:
    """Something to go wrong with each request whose path holds a text; made by the functions below.

    ``times`` is how many requests it strikes, None for all. ``handled`` says whether the request is carried out before
    its answer is lost; None leaves it to a coin.
    """

    kind: str
    path: str = ""
    times: int | None = None
    seconds: float = 0.0
    code: int = 0
    retry_after: int | None = None
    probability: float = 1.0
    seed: int = 0
    handled: bool | None = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError(f"seconds is {self.seconds}; it can't be negative")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it is from 0 to 1")
        if self.kind == "status" and not 400 <= self.code <= 599:
            raise ValueError(f"code is {self.code}; that of a failure is from 400 to 599")

    @classmethod
    def slow(cls, seconds: float, path: str = "") -> "Fault":
        """The request waits before it is carried out."""
        return cls("slow", path, seconds=seconds)

    @classmethod
    def status(cls, code: int, path: str = "", times: int | None = None, retry_after: int | None = None) -> "Fault":
        """The request isn't carried out and answered with this status."""
        return cls("status", path, times, code=code, retry_after=retry_after)

    @classmethod
    def drop(
        cls,
        path: str = "",
        probability: float = 1.0,
        seed: int = 0,
        handled: bool | None = False,
        times: int | None = None,
    ) -> "Fault":
        """The connection is closed without an answer."""
        return cls("drop", path, times, probability=probability, seed=seed, handled=handled)

    @classmethod
    def silence(cls, path: str = "", handled: bool | None = False, times: int | None = None) -> "Fault":
        """No answer comes and the connection stays open, until faults are cleared or the service stops."""
        return cls("silence", path, times, handled=handled)

    @classmethod
    def reject_metric(cls, name: str) -> "Fault":
        """A batch with this metric is answered with an error about it; the other metrics are stored."""
        return cls("reject_metric", name=name)

    @classmethod
    def quota(cls) -> "Fault":
        """No compute can be created, for want of a quota."""
        return cls("quota")


@dataclass(frozen=True)
class Injection:
    """What all orders together do to one request; whatever it waits for ends when it is released."""

    released: threading.Event
    delay: float = 0.0
    answer: Response | None = None
    handled: bool = True
    lost: bool = False
    silent: bool = False

    def hold_up(self) -> None:
        if self.delay:
            self.released.wait(self.delay)

    def keep_silent(self) -> None:
        if self.silent:
            self.released.wait()


class FaultInjector:
    """The faults in force."""

    def __init__(self) -> None:
        self._orders: list[_ActiveFault] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._orders.append(_ActiveFault(fault))

    def clear(self) -> None:
        """Nothing goes wrong any more, and nothing waits."""
        with self._lock:
            self._orders.clear()
            self._release()

    def release(self) -> None:
        """Ends the waiting of requests that were struck; for the next ones all stays in force."""
        with self._lock:
            self._release()

    def strike(self, path: str) -> Injection:
        """What is to happen to a request; the first order that keeps its answer from it is the last that counts."""
        delay = 0.0
        with self._lock:
            for order in self._orders:
                if not order.strikes(path):
                    continue
                if order.fault.kind != "slow":
                    return order.strike(self._released, delay)
                delay += order.fault.seconds
            return Injection(self._released, delay)

    def rejects(self, metric: str) -> bool:
        with self._lock:
            return any(order.fault.kind == "reject_metric" and order.fault.name == metric for order in self._orders)

    def denies_quota(self) -> bool:
        with self._lock:
            return any(order.fault.kind == "quota" for order in self._orders)

    def _release(self) -> None:
        self._released.set()
        self._released = threading.Event()


class _ActiveFault:
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

    def strike(self, released: threading.Event, delay: float) -> Injection:
        if self.fault.kind == "status":
            return Injection(released, delay, answer=_answer(self.fault), handled=False)
        handled = self._coin.random() < 0.5 if self.fault.handled is None else self.fault.handled
        return Injection(released, delay, handled=handled, lost=True, silent=self.fault.kind == "silence")


def _answer(fault: Fault) -> Response:
    answer = json_response(
        error_content("Rehearsed", f"status {fault.code} was ordered for {fault.path!r}"), fault.code
    )
    extra = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Response(answer.status, answer.body, {**answer.headers, **extra})
