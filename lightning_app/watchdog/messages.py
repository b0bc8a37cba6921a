"""What the processes tell one another: one JSON object a line."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

LONGEST = 2**20  # bytes of a line
MAX_TEXT = 20_000  # characters of a traceback; of a longer one the end is kept

Message = dict[str, Any]


def line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Never waits: whoever doesn't read is found out by his silence."""
    if not writer.is_closing():
        writer.write(line(message))


async def received(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """The messages until the other side is gone or says something else than a message."""
    while True:
        try:
            text = await reader.readline()
        except (OSError, ValueError):
            return
        if not text.endswith(b"\n"):
            return
        try:
            message = json.loads(text)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        yield message


def shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else "...\n" + text[-MAX_TEXT:]
