"""Azure's Scheduled Events: what the metadata service of a virtual machine says about the machine's end.

Source: "Azure Metadata Service: Scheduled Events for Linux VMs", 2025. An event is announced at least 30 seconds ahead,
and it is removed from the list when it is over or withdrawn. The events of all machines of a scale set are listed on
each of them. The first request switches the events on, and its response may take two minutes.
"""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

ADDRESS = "http://169.254.169.254"  # within each virtual machine of Azure
_EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
_NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
_KINDS = ("Preempt", "Terminate")  # those after which the machine, with its disk, is gone
_SHORTEST_NOTICE = 30.0  # seconds
_SECONDS_TO_CONNECT = 10.0
FIRST_RESPONSE = 150.0  # seconds within which it must come
RESPONSE = 3.0  # the same for the later ones
_LONGEST = 2**20  # bytes of a response


class MetadataError(Exception):
    """The metadata service can't be reached, or its response can't be read."""


@dataclass(frozen=True)
class Eviction:
    """The announced end of this machine.

    Args:
        id: Of the event.
        at: The time of day, as the service says it; for messages.
        seconds: Until then; 0 if the machine is being taken away.
    """

    id: str
    at: str
    seconds: float


class MetadataService:
    """The metadata service at an address; no proxy is used, because the address exists only within the machine."""

    def __init__(self, address: str = ADDRESS) -> None:
        parts = urlsplit(address)
        self.address = address
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path.rstrip("/")

    def machine_name(self) -> str:
        """The name of this machine, by which events name the machines that they concern.

        Raises:
            MetadataError: See there.
        """
        return self._get(_NAME, FIRST_RESPONSE)[0].decode(errors="replace").strip()

    def evictions(self, machine: str, timeout: float = FIRST_RESPONSE) -> list[Eviction]:
        """The announced ends of this machine; those of all machines if its name is empty.

        Args:
            machine: Its name.
            timeout: In seconds.

        Raises:
            MetadataError: See there.
        """
        body, date = self._get(_EVENTS, timeout)
        try:
            events = json.loads(body)["Events"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MetadataError("the response isn't a list of events") from error
        if not isinstance(events, list):
            raise MetadataError("the response isn't a list of events")
        return list(_evictions(events, machine, _time(date) or datetime.now(timezone.utc)))

    def _get(self, path: str, timeout: float) -> tuple[bytes, str]:
        """The body of a response, and its time."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=min(timeout, _SECONDS_TO_CONNECT))
        try:
            connection.connect()
            connection.sock.settimeout(timeout)
            connection.request("GET", self._path + path, headers={"Metadata": "true"})
            response = connection.getresponse()
            body = response.read(_LONGEST)
            if response.status != http.client.OK:
                raise MetadataError(f"status {response.status}")
            return body, response.getheader("Date") or ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise MetadataError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
        finally:
            connection.close()


def _evictions(events: list[Any], machine: str, now: datetime) -> Iterator[Eviction]:
    for event in events:
        if not isinstance(event, dict) or event.get("EventType") not in _KINDS:
            continue
        if _concerns(event.get("Resources"), machine):
            at = event.get("NotBefore") or ""
            yield Eviction(str(event.get("EventId")), str(at), _seconds(event, at, now))


def _concerns(resources: object, machine: str) -> bool:
    """Also where it isn't known: a checkpoint too many costs less than one too few."""
    if not machine or not isinstance(resources, list) or not resources:
        return True
    return _plain(machine) in [_plain(str(name)) for name in resources]


def _plain(name: str) -> str:
    return name.lstrip("_").casefold()  # some machines are listed with an underscore before the name


def _seconds(event: dict[str, Any], at: object, now: datetime) -> float:
    if event.get("EventStatus") == "Started" or not at:
        return 0.0
    time = _time(str(at))
    return _SHORTEST_NOTICE if time is None else max(0.0, (time - now).total_seconds())


def _time(text: str) -> datetime | None:
    """A time as HTTP writes it, or as ISO 8601."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            time = read(text.replace("Z", "+00:00") if read == datetime.fromisoformat else text)
        except (ValueError, TypeError, IndexError):
            continue
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return None
