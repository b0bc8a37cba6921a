"""A notice makes the training save at once, and stop shortly before the end unless it is withdrawn."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lightning_app.preemption import watcher
from lightning_app.preemption.watcher import LOW_PRIORITY, METADATA_ADDRESS, OnPreemption, preemption_watcher
from lightning_app.watchdog.stop import Due
from lightning_app.watchdog.watchdog import Watchdog
from submit.emulator import AzureMLEmulator, Fault

ENDED = 60.0  # seconds, many times what is usual


class SteppingTraining(threading.Thread):
    """Steps, saves and stops as it is asked to."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.watchdog = Watchdog()
        self.done: list[tuple[Due, str]] = []
        self.steps = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        point = self.watchdog.stop_point
        point.enter()
        while not self.is_over.wait(0.005):
            self.steps += 1
            due = point.due((self.steps,))
            if due is Due.SAVE:
                self.done.append((due, point.save_reason))
                point.saved_at = time.monotonic()
            if due is Due.STOP:
                assert point.cause is not None
                assert point.cause.status == 143
                self.done.append((due, point.cause.text))
                return


class Watched:
    """A training on node0 of the emulator, whose metadata service is watched."""

    def __init__(self, service: AzureMLEmulator, ends: ExitStack) -> None:
        self.service, self._ends = service, ends
        self.training = SteppingTraining()
        self.lines: list[str] = []
        self._ends.callback(self.training.is_over.set)

    def start(self, choice: OnPreemption = "end", address: str | None = None) -> None:
        variables = {METADATA_ADDRESS: address or self.service.metadata_address("node0")}
        self._ends.enter_context(preemption_watcher(self.training.watchdog, choice, self.lines.append, variables))
        self.training.start()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ENDED
        while not condition():
            assert time.monotonic() < deadline, (self.training.done, self.lines)
            time.sleep(0.01)

    def wait_for_steps(self, count: int = 100) -> None:
        last = self.training.steps + count
        self.wait_for(lambda: self.training.steps > last)

    @property
    def dues(self) -> list[Due]:
        return [due for due, _ in self.training.done]


@pytest.fixture
def watched(service: AzureMLEmulator) -> Iterator[Watched]:
    with ExitStack() as ends:
        yield Watched(service, ends)


def test_a_notice_that_is_withdrawn_leaves_a_checkpoint(watched: Watched) -> None:
    watched.start()

    event = watched.service.announce_eviction(["node0"], 30)
    watched.wait_for(lambda: bool(watched.training.done))
    watched.service.withdraw_eviction(event)
    watched.wait_for(lambda: len(watched.lines) == 2)

    watched.wait_for_steps()
    assert watched.dues == [Due.SAVE]
    assert watched.training.done[0][1].startswith("because of the notice for node0 at ")
    assert watched.lines[0].startswith("Azure takes this machine away: node0 at ")
    assert watched.lines[1] == "Azure has withdrawn the notice; training goes on."


def test_training_saves_at_the_notice_and_stops_before_the_end(watched: Watched) -> None:
    watched.start()

    watched.service.announce_eviction(["node0"], 14)
    watched.training.join(ENDED)

    assert watched.dues == [Due.SAVE, Due.STOP]
    assert watched.training.done[1][1].startswith("by preemption (node0 at ")


def test_a_short_notice_stops_at_once(watched: Watched) -> None:
    watched.start()

    watched.service.announce_eviction(["node0"], 3)
    watched.training.join(ENDED)

    assert watched.dues == [Due.STOP]


def test_training_goes_on_to_the_end_if_it_shall_only_save(watched: Watched) -> None:
    watched.start("save")

    watched.service.announce_eviction(["node0"], 12)
    watched.wait_for(lambda: len(watched.dues) == 2)

    watched.wait_for_steps()
    assert watched.dues == [Due.SAVE, Due.SAVE]


def test_a_save_that_takes_long_leaves_more_time_for_the_last_one(watched: Watched) -> None:
    watched.start()
    point = watched.training.watchdog.stop_point
    watched.service.announce_eviction(["node0"], 60)
    watched.wait_for(lambda: bool(watched.training.done))

    point.saved_at += 50  # as if it had taken so long

    watched.training.join(ENDED)
    assert watched.dues == [Due.SAVE, Due.STOP]


def test_the_end_of_another_machine_changes_nothing(watched: Watched) -> None:
    watched.start()

    watched.service.announce_eviction(["node1"], 1)
    watched.wait_for(lambda: sum("/scheduledevents" in each.path for each in watched.service.requests) >= 3)

    watched.wait_for_steps()
    assert (watched.dues, watched.lines) == ([], [])


def test_a_first_response_that_takes_long_blocks_nothing(watched: Watched) -> None:
    watched.service.inject(Fault.slow(2, "/metadata/"))
    watched.service.announce_eviction(["node0"], 60)

    watched.start()

    watched.wait_for_steps()
    assert watched.dues == []
    watched.wait_for(lambda: watched.dues == [Due.SAVE])


def test_a_service_that_is_not_there_is_one_line(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_SECONDS_AFTER_FAILURE", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    watched.start(address=address)

    watched.wait_for_steps()
    assert watched.lines == [
        f"No preemption notice can be read from {address} (Connection refused); training goes on without."
    ]
    assert watched.dues == []


@pytest.mark.parametrize("fault", [Fault.status(500, "/metadata/"), Fault.silence("/metadata/")])
def test_a_service_that_fails_after_the_notice_withdraws_nothing(watched: Watched, fault: Fault) -> None:
    watched.start()
    watched.service.announce_eviction(["node0"], 14)
    watched.wait_for(lambda: watched.dues == [Due.SAVE])

    watched.service.inject(fault)

    watched.training.join(ENDED)
    assert watched.dues == [Due.SAVE, Due.STOP]
    assert len([line for line in watched.lines if line.startswith("No preemption notice")]) == 1


def test_after_its_end_nothing_is_requested(watched: Watched) -> None:
    watched.start()
    watched.wait_for(lambda: any("/scheduledevents" in request.path for request in watched.service.requests))
    watched._ends.close()

    watched.service.announce_eviction(["node0"], 1)

    assert not any(thread.name == "preemption" and thread.is_alive() for thread in _after_a_while())
    assert watched.lines == []
    assert watched.training.watchdog.stop_point.cause is None


def _after_a_while() -> list[threading.Thread]:
    for thread in threading.enumerate():
        if thread.name == "preemption":
            thread.join(ENDED)
    return threading.enumerate()


@pytest.mark.parametrize(
    ("choice", "variables", "is_watched"),
    [
        ("auto", {}, False),
        ("auto", {LOW_PRIORITY: "1"}, True),
        ("auto", {LOW_PRIORITY: "0"}, False),
        ("end", {}, True),
        ("save", {}, True),
        ("ignore", {LOW_PRIORITY: "1"}, False),
    ],
)
def test_who_watches(choice: OnPreemption, variables: dict[str, str], is_watched: bool) -> None:
    found = preemption_watcher(Watchdog(), choice, print, variables)

    assert isinstance(found, watcher.PreemptionWatcher) == is_watched
