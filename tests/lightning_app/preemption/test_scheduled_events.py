"""What the metadata service says, read: which events concern this machine, and when it is taken away."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lightning_app.preemption.scheduled_events import MetadataError, MetadataService
from submit.emulator import AzureMLEmulator, Fault

DATE = "Mon, 19 Sep 2016 18:29:17 GMT"


@contextmanager
def serving(body: bytes, date: str = DATE) -> Iterator[MetadataService]:
    """A metadata service with this response to each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Metadata"] == "true"
            self.send_response_only(200)
            self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield MetadataService(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


def event(**changed: Any) -> dict[str, Any]:
    found = {"EventId": "7", "EventType": "Preempt", "EventStatus": "Scheduled", "Resources": ["vm_0"]}
    return found | {"NotBefore": "Mon, 19 Sep 2016 18:29:47 GMT"} | changed


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        ({}, 30),
        ({"EventType": "Terminate"}, 30),
        ({"EventType": "Freeze"}, None),
        ({"EventType": None}, None),
        ({"Resources": ["vm_1", "VM_0"]}, 30),
        ({"Resources": ["_vm_0"]}, 30),
        ({"Resources": ["vm_1"]}, None),
        ({"Resources": []}, 30),
        ({"Resources": None}, 30),
        ({"NotBefore": "2016-09-19T18:30:17Z"}, 60),
        ({"NotBefore": "2016-09-19T18:30:17.25+00:00"}, 60.25),
        ({"NotBefore": "Mon, 19 Sep 2016 18:00:00 GMT"}, 0),  # over
        ({"NotBefore": ""}, 0),
        ({"NotBefore": None}, 0),
        ({"NotBefore": "soon"}, 30),  # the shortest notice that there is
        ({"NotBefore": 7}, 30),
        ({"EventStatus": "Started"}, 0),
        ({"EventId": {"a": 1}}, 30),
    ],
)
def test_an_event_concerns_this_machine_or_not(changed: dict[str, Any], seconds: float | None) -> None:
    body = json.dumps({"DocumentIncarnation": 1, "Events": ["none", event(**changed), 3]}).encode()

    with serving(body) as service:
        found = service.evictions("vm_0")

    assert [eviction.seconds for eviction in found] == ([] if seconds is None else [seconds])


def test_a_machine_without_a_name_counts_the_events_of_all() -> None:
    body = json.dumps({"Events": [event(Resources=["vm_1"]), event(EventId="8")]}).encode()

    with serving(body) as service:
        assert [eviction.id for eviction in service.evictions("")] == ["7", "8"]


def test_a_clock_that_is_wrong_changes_nothing() -> None:
    """The times of the event and of the response are those of one clock."""
    body = json.dumps({"Events": [event(NotBefore="Mon, 19 Sep 1988 18:00:12 GMT")]}).encode()

    with serving(body, date="Mon, 19 Sep 1988 18:00:00 GMT") as service:
        assert [eviction.seconds for eviction in service.evictions("vm_0")] == [12]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"Events": 7}', b"\xff\xfe", b"[" * 100_000, b'{"Events": "no"}']
)
def test_anything_else_is_an_error(body: bytes) -> None:
    with serving(body) as service, pytest.raises(MetadataError, match="the response isn't a list of events"):
        service.evictions("vm_0")


def test_a_service_that_is_not_there_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(MetadataError, match="Connection refused"):
        MetadataService(address).machine_name()


def test_the_emulators_events(service: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    nodes = [MetadataService(service.metadata_address(f"node{number}")) for number in range(2)]
    assert [node.machine_name() for node in nodes] == ["node0", "node1"]
    assert nodes[0].evictions("node0") == []

    first = service.announce_eviction(["node1"], 30)
    second = service.announce_eviction(["node0", "node1"], 0)

    (announced,) = nodes[0].evictions("node0")
    assert (announced.id, announced.seconds) == (second, 0)
    assert [eviction.id for eviction in nodes[0].evictions("node1")] == [first, second]
    assert 28 <= nodes[1].evictions("node1")[0].seconds <= 31
    service.withdraw_eviction(second)
    assert nodes[0].evictions("node0") == []


@pytest.mark.parametrize(
    "fault", [Fault.status(404, "/metadata/"), Fault.status(500, "/metadata/"), Fault.drop("/metadata/")]
)
def test_a_faulty_service_is_an_error(service: AzureMLEmulator, fault: Fault) -> None:
    service.inject(fault)

    with pytest.raises(MetadataError):
        MetadataService(service.metadata_address("node0")).evictions("node0")
