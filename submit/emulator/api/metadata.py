"""The metadata service of each node of a job: its name, and the events that Azure has scheduled.

The events of all nodes are listed on each of them, as in a scale set.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from submit.emulator import datetimes
from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Eviction, State

NODES = "/nodes"


def get_events(state: State, request: Request, parameters: Parameters) -> Response:
    _require_metadata(request)
    content = {"DocumentIncarnation": state.eviction_changes, "Events": [_event(each) for each in state.evictions]}
    response = json_response(content)
    return Response(200, response.body, {**response.headers, "Date": format_datetime(datetimes.now(), usegmt=True)})


def get_name(state: State, request: Request, parameters: Parameters) -> Response:
    _require_metadata(request)
    return Response(200, parameters["node"].encode(), {"Content-Type": "text/plain; charset=utf-8"})


def announce(state: State, nodes: Sequence[str], seconds: float, disk_is_kept: bool = True) -> str:
    """Announces that the nodes will be taken away, and returns the id of the event."""
    at = datetimes.now() + timedelta(seconds=seconds)
    eviction = Eviction(str(uuid.uuid4()).upper(), tuple(nodes), at, disk_is_kept)
    state.evictions.append(eviction)
    state.eviction_changes += 1
    return eviction.id


def withdraw(state: State, eviction_id: str) -> None:
    """Removes an event: withdrawn, or over.

    Raises:
        KeyError: There is no such event.
    """
    if eviction_id not in [eviction.id for eviction in state.evictions]:
        raise KeyError(eviction_id)
    state.evictions = [eviction for eviction in state.evictions if eviction.id != eviction_id]
    state.eviction_changes += 1


def _require_metadata(request: Request) -> None:
    if request.headers.get("metadata", "").lower() != "true":
        raise ApiError(400, "BadRequest", "Required metadata header not specified")
    if "api-version" not in request.query:
        raise ApiError(400, "BadRequest", "api-version was not specified in the request")


def _event(eviction: Eviction) -> dict[str, Any]:
    has_started = eviction.is_due
    return {
        "EventId": eviction.id,
        "EventStatus": "Started" if has_started else "Scheduled",
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": list(eviction.nodes),
        "NotBefore": "" if has_started else format_datetime(eviction.at, usegmt=True),
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }


ROUTES = (
    Route("GET", f"{NODES}/{{node}}/metadata/scheduledevents", get_events),
    Route("GET", f"{NODES}/{{node}}/metadata/instance/compute/name", get_name),
)
