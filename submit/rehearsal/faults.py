"""What can go wrong with requests."""

from dataclasses import dataclass


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
