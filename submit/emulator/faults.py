"""Fault injection: what can go wrong with requests, and with which ones it does."""

import random
import threading
from dataclasses import dataclass

from submit.emulator.messages import Response, error_content, json_response


@dataclass(frozen=True)
class Fault:
    """A fault of each request whose path contains ``path``; the class methods below make one.

    ``times`` is the number of requests that fail, None for all. ``handled`` says whether the request is handled before
    its response is lost; None decides at random.
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
    body: str | None = None

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError(f"seconds is {self.seconds}; it can't be negative")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it is from 0 to 1")
        if self.kind == "status" and not 400 <= self.code <= 599:
            raise ValueError(f"code is {self.code}; that of a failure is from 400 to 599")

    @classmethod
    def slow(cls, seconds: float, path: str = "") -> "Fault":
        """The request waits before it is handled."""
        return cls("slow", path, seconds=seconds)

    @classmethod
    def status(
        cls,
        code: int,
        path: str = "",
        times: int | None = None,
        retry_after: int | None = None,
        body: str | None = None,
    ) -> "Fault":
        """The request isn't handled; the response has this status, and this body (XML) instead of an error in JSON."""
        return cls("status", path, times, code=code, retry_after=retry_after, body=body)

    @classmethod
    def drop(
        cls,
        path: str = "",
        probability: float = 1.0,
        seed: int = 0,
        handled: bool | None = False,
        times: int | None = None,
    ) -> "Fault":
        """The connection is closed without a response."""
        return cls("drop", path, times, probability=probability, seed=seed, handled=handled)

    @classmethod
    def silence(cls, path: str = "", handled: bool | None = False, times: int | None = None) -> "Fault":
        """No response comes and the connection stays open, until faults are cleared or the emulator stops."""
        return cls("silence", path, times, handled=handled)

    @classmethod
    def reject_metric(cls, name: str) -> "Fault":
        """The response to a batch with this metric has an error for it; the other metrics are stored."""
        return cls("reject_metric", name=name)

    @classmethod
    def quota(cls) -> "Fault":
        """No compute can be created, because there is no quota."""
        return cls("quota")


@dataclass(frozen=True)
class Injection:
    """What the active faults do to one request; ``released`` ends its waiting."""

    released: threading.Event
    delay: float = 0.0
    response: Response | None = None
    handled: bool = True
    lost: bool = False
    silent: bool = False

    def wait_before(self) -> None:
        if self.delay:
            self.released.wait(self.delay)

    def wait_instead_of_responding(self) -> None:
        if self.silent:
            self.released.wait()


class FaultInjector:
    """The active faults."""

    def __init__(self) -> None:
        self._faults: list[_ActiveFault] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def inject(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(_ActiveFault(fault))

    def clear(self) -> None:
        """Ends all faults, and the waiting of requests."""
        with self._lock:
            self._faults.clear()
            self._release()

    def release(self) -> None:
        """Ends the waiting of requests; the faults stay active."""
        with self._lock:
            self._release()

    def next_injection(self, path: str) -> Injection:
        """What happens to the next request of this path. Delays add up until the first other fault."""
        delay = 0.0
        with self._lock:
            for active in self._faults:
                if not active.matches(path):
                    continue
                if active.fault.kind != "slow":
                    return active.injection(self._released, delay)
                delay += active.fault.seconds
            return Injection(self._released, delay)

    def rejects(self, metric: str) -> bool:
        with self._lock:
            return any(active.fault.kind == "reject_metric" and active.fault.name == metric for active in self._faults)

    def denies_quota(self) -> bool:
        with self._lock:
            return any(active.fault.kind == "quota" for active in self._faults)

    def _release(self) -> None:
        self._released.set()
        self._released = threading.Event()


class _ActiveFault:
    """A fault, with the number of requests that it is still for."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.times
        self._random = random.Random(fault.seed)  # noqa: S311 a fault that can be repeated, not a secret

    def matches(self, path: str) -> bool:
        if self.fault.kind in ("reject_metric", "quota") or self.fault.path not in path or self._left == 0:
            return False
        if self.fault.probability < 1 and self._random.random() >= self.fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def injection(self, released: threading.Event, delay: float) -> Injection:
        if self.fault.kind == "status":
            return Injection(released, delay, response=_response(self.fault), handled=False)
        handled = self._random.random() < 0.5 if self.fault.handled is None else self.fault.handled
        return Injection(released, delay, handled=handled, lost=True, silent=self.fault.kind == "silence")


def _response(fault: Fault) -> Response:
    response = json_response(
        error_content("InjectedFault", f"fault injection: status {fault.code} for {fault.path!r}"), fault.code
    )
    extra = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.body is not None:
        return Response(fault.code, fault.body.encode(), {"Content-Type": "application/xml", **extra})
    return Response(response.status, response.body, {**response.headers, **extra})
