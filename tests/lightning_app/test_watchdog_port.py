"""Strangers at the watchdog's port: nothing that they send ends a training, or reaches its report."""

import contextlib
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_app.watchdog.keys import JOB_KEY, agent_proof, job_key
from lightning_app.watchdog.protocol import ProcessId
from submit.execution.nodes import free_port
from tests.support.stoppable import ENDED, finish, start

KEY = {JOB_KEY: "a1b2c3d4e5f60718"}
WORK = "Path(f'joined-{rank}').touch()\nwhile not Path('left').exists(): time.sleep(0.05)\ntime.sleep(1)"
FAILURE = {"failure": {"kind": "raised", "text": "a text of a stranger", "signal": 0}, "position": [1, 2, 0, 3]}


class Visitor:
    """A connection to the coordinator."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ENDED)
        self.lines = self.socket.makefile("rb")

    def send(self, *messages: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it may have closed the connection
            for message in messages:
                self.socket.sendall(json.dumps(message).encode() + b"\n")

    def join(self, process: ProcessId, key: bytes) -> dict[str, Any]:
        """The coordinator's reply; empty if it closes the connection."""
        nonce, own = str(self.read()["nonce"]), "0" * 32
        content = process.to_message()
        self.send({"process": content, "nonce": own, "proof": agent_proof(key, nonce, own, content)})
        return self.read()

    def read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            content: dict[str, Any] = json.loads(self.lines.readline() or b"{}")
            return content
        return {}

    def leave(self) -> None:
        self.lines.close()
        self.socket.close()


Visit = Callable[[int], Visitor]


@pytest.fixture
def visit() -> Iterator[Visit]:
    with contextlib.ExitStack() as visitors:

        def connect(port: int) -> Visitor:
            visitor = Visitor(port)
            visitors.callback(visitor.leave)
            return visitor

        yield connect


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """A training of two processes: the watchdog's port, and what ends it and requires that nothing has happened."""
    port = free_port()
    processes: list[subprocess.Popen[str]] = []

    def require_undisturbed() -> None:
        (tmp_path / "left").touch()
        outcomes = finish(processes)
        assert [(outcome.status, outcome.out, outcome.err) for outcome in outcomes] == [(0, "done\n", "")] * 2
        assert not (tmp_path / "outputs").exists()

    processes += [start(WORK, tmp_path, rank, 2, port, KEY) for rank in range(2)]
    try:
        wait_for(lambda: is_open(port + 1))
        yield port + 1, require_undisturbed
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDED
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


Training = tuple[int, Callable[[], None]]
RIGHT = job_key(KEY)
WRONG = job_key({JOB_KEY: "another"})


@pytest.mark.parametrize(
    ("process", "key"),
    [
        pytest.param(ProcessId(0, 31, 31), RIGHT, id="a rank outside of the world"),
        pytest.param(ProcessId(0, 1, 31), RIGHT, id="a place of the world with a rank outside of it"),
        pytest.param(ProcessId(31, 0, None), RIGHT, id="a node outside of the world"),
        pytest.param(ProcessId(0, 1, 1), WRONG, id="the right format with the wrong key"),
        pytest.param(ProcessId(0, 0, 0), job_key({}), id="no key"),
    ],
)
def test_a_visitor_that_is_no_process_of_the_training_is_refused(
    process: ProcessId, key: bytes, training: Training, visit: Visit
) -> None:
    port, require_undisturbed = training
    visitor = visit(port)

    reply = visitor.join(process, key)
    visitor.send(FAILURE)
    visitor.leave()

    assert reply == {}
    require_undisturbed()


@pytest.mark.parametrize("process", [ProcessId(0, 1, 1), ProcessId(0, 0, 0)])
def test_a_place_that_is_taken_is_refused(process: ProcessId, training: Training, visit: Visit, tmp_path: Path) -> None:
    port, require_undisturbed = training
    wait_for(lambda: all((tmp_path / f"joined-{rank}").exists() for rank in range(2)))
    time.sleep(2)  # their agents connect by themselves; who comes before them has their place
    visitor = visit(port)

    reply = visitor.join(process, RIGHT)
    visitor.send(FAILURE)
    visitor.leave()

    assert reply == {"refused": f"{process.label()} has joined already; expected each rank once"}
    require_undisturbed()


def test_a_failure_without_joining_is_refused(training: Training, visit: Visit) -> None:
    port, require_undisturbed = training
    visitor = visit(port)

    visitor.send({"process": ProcessId(0, 1, 1).to_message(), "job": ""}, FAILURE)
    visitor.read()
    after = visitor.read()
    visitor.leave()

    assert after == {}
    require_undisturbed()


def test_an_answer_to_another_challenge_is_refused(training: Training, visit: Visit) -> None:
    """What was overheard of one connection is of no use in another."""
    port, require_undisturbed = training
    overheard, later = visit(port), visit(port)
    nonce, own, process = str(overheard.read()["nonce"]), "0" * 32, ProcessId(0, 1, 1).to_message()
    proof = agent_proof(RIGHT, nonce, own, process)

    later.read()
    later.send({"process": process, "nonce": own, "proof": proof}, FAILURE)

    assert later.read() == {}
    require_undisturbed()


NONSENSE = {
    "garbage": b"\x00\xff\x13" * 1000 + b"\n",
    "http": b"GET / HTTP/1.1\r\nHost: rank0\r\n\r\n",
    "nested JSON": b"[" * 100_000 + b"\n",
    "a list": b"[1, 2]\n",
    "wrong types": b'{"process": {"node": "0", "local_rank": null, "rank": []}, "nonce": 7, "proof": 8}\n',
    "a negative rank": b'{"process": {"node": -1, "local_rank": 0, "rank": 0}, "nonce": "0", "proof": "0"}\n',
    "more fields": b'{"process": {"node": 0, "local_rank": 1, "rank": 1, "x": 1}, "nonce": "0", "proof": "\xc3\xa9"}\n',
    "no end": b"x" * 3_000_000,
}


def test_nonsense_is_refused(training: Training, visit: Visit) -> None:
    port, require_undisturbed = training
    visitors = []

    for text in NONSENSE.values():
        visitors.append(visit(port))
        with contextlib.suppress(OSError):
            visitors[-1].socket.sendall(text)

    for visitor in visitors:
        visitor.read()  # the challenge
        assert visitor.read() == {}
    require_undisturbed()


def test_tls_and_many_held_connections_are_refused(training: Training) -> None:
    port, require_undisturbed = training
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", port)) as plain:
        context.wrap_socket(plain)

    require_undisturbed()
    for connection in held:
        connection.close()


def test_the_key_depends_on_what_the_launcher_gives_to_all() -> None:
    keys = [
        job_key(environment)
        for environment in (
            {},
            {JOB_KEY: "a"},
            {JOB_KEY: "a", "AZUREML_RUN_ID": "run_1"},
            {"AZUREML_RUN_ID": "run_1"},
            {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"},
            {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "1"},
        )
    ]

    assert len(set(keys)) == len(keys)
    assert job_key({JOB_KEY: "a", "RANK": "0"}) == job_key({JOB_KEY: "a", "RANK": "1"})
