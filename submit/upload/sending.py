"""Sends files with several threads."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import BinaryIO

from submit.errors import ServiceError, describe_error
from submit.upload.container import Container
from submit.upload.folder import LocalFile

THREADS = 8  # requests keeps ten connections open
BLOCK = 4 * 1024 * 1024  # an interruption loses this much of each file that is being sent
MAX_BLOCKS = 50_000  # of one blob


@dataclass(frozen=True)
class Progress:
    """Bytes that Azure has now, ``sent`` or there before; ``file`` is set with its last bytes."""

    size: int
    sent: bool = True
    file: LocalFile | None = None


def send(container: Container, folder: str, files: Sequence[LocalFile], stopped: threading.Event) -> Iterator[Progress]:
    """Sends all files to a folder of the container, and yields the progress.

    Raises:
        ServiceError: A file can't be sent; the upload of the others is stopped.
    """
    jobs: SimpleQueue[LocalFile] = SimpleQueue()
    events: SimpleQueue[Progress | Exception] = SimpleQueue()
    for file in files:
        jobs.put(file)
    for _ in range(min(THREADS, len(files))):
        # a daemon, so that Ctrl-C doesn't wait for the files that are being sent
        threading.Thread(target=_send_files, args=(container, folder, jobs, events, stopped), daemon=True).start()
    try:
        yield from _collect(len(files), events)
    finally:
        stopped.set()


def send_file(container: Container, folder: str, file: LocalFile) -> Iterator[Progress]:
    """Sends one file: a small one in one request, a large one in blocks, without the blocks that exist."""
    path = f"{folder}/{file.name}"
    with file.path.open("rb") as content:
        if file.size > BLOCK:
            yield from _send_blocks(container, path, file, content)
        else:
            piece = content.read(BLOCK + 1)
            _require_size(file, len(piece))
            container.put(path, piece, _md5(piece))
            yield Progress(len(piece), file=file)


def _send_blocks(container: Container, path: str, file: LocalFile, content: BinaryIO) -> Iterator[Progress]:
    staged = container.staged(path)
    md5, blocks, size = hashlib.md5(usedforsecurity=False), list[str](), 0
    for piece in iter(partial(content.read, max(BLOCK, -(-file.size // MAX_BLOCKS))), b""):
        md5.update(piece)
        size += len(piece)
        block = f"{len(blocks):05d}-{_md5(piece).hex()}"  # all ids have the same length, which Azure requires
        if block not in staged:
            container.stage(path, block, piece)
        blocks.append(block)
        yield Progress(len(piece), sent=block not in staged)
    _require_size(file, size)
    container.commit(path, blocks, md5.digest())
    yield Progress(0, file=file)


def _send_files(
    container: Container,
    folder: str,
    jobs: "SimpleQueue[LocalFile]",
    events: "SimpleQueue[Progress | Exception]",
    stopped: threading.Event,
) -> None:
    while not stopped.is_set():
        try:
            file = jobs.get_nowait()
        except Empty:
            return
        try:
            for progress in send_file(container, folder, file):
                events.put(progress)
                if stopped.is_set():
                    return
        except Exception as error:  # the main thread raises it
            failure = ServiceError(f"{file.name!r} wasn't sent: {describe_error(error)}")
            failure.__cause__ = error
            events.put(failure)


def _collect(count: int, events: "SimpleQueue[Progress | Exception]") -> Iterator[Progress]:
    while count:
        event = events.get()
        if isinstance(event, Exception):
            raise event
        count -= event.file is not None
        yield event


def _require_size(file: LocalFile, size: int) -> None:
    if size != file.size:
        raise ServiceError(f"its size of {file.size:,} bytes has changed; don't change it during the upload")


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
