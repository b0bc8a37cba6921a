"""What a service does to a job that logs, as the benchmark and the tests have it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from submit.emulator import Fault
from submit.emulator.state import RecordedRequest

REFUSED_METRIC = "train_accuracy"


class Faulty(Protocol):
    """A service that fails when it is asked to: the emulator, or a proxy of a real one."""

    @property
    def requests(self) -> Sequence[RecordedRequest]: ...
    def inject(self, fault: Fault) -> None: ...
    def clear_faults(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


def mend(service: Faulty) -> None:
    """Nothing is wrong with it when this returns, and no request of before is under way."""
    service.stop()
    service.start()
    service.clear_faults()


def _stop_and_start_again(service: Faulty) -> None:
    """Half a second after the first request, for three seconds."""

    def run() -> None:
        deadline = time.monotonic() + 30
        while not service.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        service.stop()
        time.sleep(3)
        service.start()

    threading.Thread(target=run).start()


def faults(metrics: str, batch: str, lookup: str) -> dict[str, Callable[[Faulty], None]]:
    """What is done to a service, given what is in the paths of its requests about metrics, and about the run."""
    return {
        "none": lambda service: None,
        "500 ms per request": lambda service: service.inject(Fault.slow(0.5)),
        "one 429": lambda service: service.inject(Fault.status(429, metrics, times=1, retry_after=2)),
        "permanent 429": lambda service: service.inject(Fault.status(429, retry_after=1)),
        "permanent 500": lambda service: service.inject(Fault.status(500)),
        "connection refused from the start": lambda service: service.stop(),
        "dropped connections at random": lambda service: service.inject(Fault.drop(metrics, 0.4, seed=1, handled=None)),
        "accepts requests and never responds": lambda service: service.inject(Fault.silence()),
        "handles requests and never responds": lambda service: service.inject(Fault.silence(batch, handled=True)),
        "run lookup fails": lambda service: service.inject(Fault.status(500, lookup)),
        "one metric name rejected": lambda service: service.inject(Fault.reject_metric(REFUSED_METRIC)),
        "stops during the run and starts again": _stop_and_start_again,
    }


FAULTS = faults("/metric/", "/batch", "/history/")
MLFLOW_FAULTS = faults("/mlflow/", "/log-batch", "/runs/get")
