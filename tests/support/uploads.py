"""Files to upload, and what an upload has done."""

import hashlib
import re

from submit.emulator import AzureMLEmulator
from submit.emulator.workspace import DATASTORE_CONTAINER
from tests.support.commands import Outcome

LINE = re.compile(r"Sent ([\d,]+) files? \((.*)\); skipped ([\d,]+) files? \((.*)\), which existed already\.")


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def many(count: int) -> dict[str, bytes]:
    return {f"train/{number:03}.bin": hashlib.sha256(str(number).encode()).digest() for number in range(count)}


def counts(outcome: Outcome) -> tuple[int, int]:
    """Files sent, and files skipped."""
    found = LINE.match(outcome.out)
    assert found is not None, outcome
    return int(found[1]), int(found[3])


def uploads(service: AzureMLEmulator) -> list[int]:
    """The sizes of what was put into the container and arrived."""
    return [r.size for r in service.requests if r.method == "PUT" and DATASTORE_CONTAINER in r.path and r.status == 201]
