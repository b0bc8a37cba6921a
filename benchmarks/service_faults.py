"""What a service does to a job that logs, as the benchmark and the tests have it."""

import threading
import time
from collections.abc import Callable

from submit.emulator import AzureMLEmulator, Fault

REFUSED_METRIC = "train_accuracy"


def mend(service: AzureMLEmulator) -> None:
    """Nothing is wrong with it when this returns, and no request of before is under way."""
    service.stop()
    service.start()
    service.clear_faults()


def _stop_and_start_again(service: AzureMLEmulator) -> None:
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


FAULTS: dict[str, Callable[[AzureMLEmulator], None]] = {
    "none": lambda service: None,
    "500 ms per request": lambda service: service.inject(Fault.slow(0.5)),
    "one 429": lambda service: service.inject(Fault.status(429, "/metric/", times=1, retry_after=2)),
    "permanent 429": lambda service: service.inject(Fault.status(429, retry_after=1)),
    "permanent 500": lambda service: service.inject(Fault.status(500)),
    "connection refused from the start": lambda service: service.stop(),
    "dropped connections at random": lambda service: service.inject(Fault.drop("/metric/", 0.4, seed=1, handled=None)),
    "accepts requests and never responds": lambda service: service.inject(Fault.silence()),
    "handles requests and never responds": lambda service: service.inject(Fault.silence("/batch", handled=True)),
    "run lookup fails": lambda service: service.inject(Fault.status(500, "/history/")),
    "one metric name rejected": lambda service: service.inject(Fault.reject_metric(REFUSED_METRIC)),
    "stops during the run and starts again": _stop_and_start_again,
}
