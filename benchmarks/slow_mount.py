"""A mount that shows a folder and takes its time, as cloud storage does.

Until it is ended: ``python -m benchmarks.slow_mount SOURCE TARGET``. It speaks the kernel's FUSE protocol (version 7,
see linux/fuse.h), read-only, without a library. Linux, root.
"""

import argparse
import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_THREADS = 64
_HEADER = struct.Struct("=IIQQIIII")  # length, operation, number, node, user, group, process, padding
_ANSWER = struct.Struct("=IiQ")  # length, error, number
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, FORGET_MANY = 26, 27, 28, 29, 36, 38, 42
_UNANSWERED = (FORGET, INTERRUPT, FORGET_MANY)
_READ_ONLY, _NO_DEVICES, _NO_SETUID, _DETACH = 1, 4, 2, 2
_VALID = 3600  # seconds for which the kernel may keep names and attributes; the content is read at each opening


class MountError(OSError):
    """This system or user may not mount."""


class SlowMount:
    """Serves the requests of the kernel; each is answered by one thread.

    Args:
        source: The folder that the mount shows.
        open_s: Seconds for opening a file.
        read_s: Seconds for each read.
    """

    def __init__(self, source: Path, open_s: float, read_s: float) -> None:
        self.open_s, self.read_s = open_s, read_s
        self._paths, self._nodes = {1: str(source)}, {str(source): 1}
        self._lock = threading.Lock()

    def answer(self, operation: int, node: int, body: bytes) -> bytes:
        if operation == INIT:
            return struct.pack("=IIIIHHII28x", 7, 31, 2**20, 0, _THREADS, _THREADS, 2**17, 1).ljust(64, b"\0")
        if operation in (RELEASE, RELEASEDIR, DESTROY):
            return self._release(operation, body)
        if operation in (OPEN, READ):
            return self._content(operation, self._paths[node], body)
        return self._metadata(operation, self._paths[node], body)

    def _release(self, operation: int, body: bytes) -> bytes:
        if operation == RELEASE:
            os.close(struct.unpack_from("=Q", body)[0])
        return b""

    def _content(self, operation: int, path: str, body: bytes) -> bytes:
        if operation == OPEN:
            time.sleep(self.open_s)
            return struct.pack("=QIi", os.open(path, os.O_RDONLY), 0, 0)
        time.sleep(self.read_s)
        file, offset, size = struct.unpack_from("=QQI", body)
        return os.pread(file, size, offset)

    def _metadata(self, operation: int, path: str, body: bytes) -> bytes:
        if operation == LOOKUP:
            return self._entry(os.path.join(path, os.fsdecode(body.rstrip(b"\0"))))  # noqa: PTH118
        if operation == GETATTR:
            return struct.pack("=QII", _VALID, 0, 0) + _attributes(path)
        if operation == READLINK:
            return os.fsencode(os.readlink(path))  # noqa: PTH115
        if operation == OPENDIR:
            return bytes(16)
        if operation == READDIR:
            return _listed(path, *struct.unpack_from("=8xQI", body))
        if operation == STATFS:
            return bytes(80)
        raise OSError(errno.ENOSYS, "")

    def _entry(self, path: str) -> bytes:
        attributes = _attributes(path)
        with self._lock:
            node = self._nodes.setdefault(path, len(self._nodes) + 1)
            self._paths[node] = path
        return struct.pack("=QQQQII", node, 0, _VALID, _VALID, 0, 0) + attributes

    def serve(self, device: int) -> None:
        while True:
            try:
                request = os.read(device, 2**18)
            except OSError:  # the mount has ended
                return
            _, operation, number, node, *_ = _HEADER.unpack_from(request)
            try:
                body, error = self.answer(operation, node, request[_HEADER.size :]), 0
            except OSError as problem:
                body, error = b"", -(problem.errno or errno.EIO)
            if operation not in _UNANSWERED:
                os.write(device, _ANSWER.pack(_ANSWER.size + len(body), error, number) + body)


def _attributes(path: str) -> bytes:
    s = os.lstat(path)
    seconds = [int(each) for each in (s.st_atime, s.st_mtime, s.st_ctime)]
    nanoseconds = [each % 10**9 for each in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)]
    numbers = (s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_rdev, s.st_blksize, 0)
    return _ATTRIBUTES.pack(s.st_ino, s.st_size, s.st_blocks, *seconds, *nanoseconds, *numbers)


def _listed(path: str, offset: int, size: int) -> bytes:
    found = b""
    for position, name in enumerate(sorted(os.listdir(path))[offset:], offset + 1):  # noqa: PTH208
        s, encoded = os.lstat(os.path.join(path, name)), os.fsencode(name)  # noqa: PTH118
        kind = stat.S_IFMT(s.st_mode) >> 12
        entry = struct.pack("=QQII", s.st_ino, position, len(encoded), kind) + encoded
        entry += bytes(-len(entry) % 8)
        if len(found) + len(entry) > size:
            break
        found += entry
    return found


@contextmanager
def slow_mount(source: Path, target: Path, *, open_s: float = 0.02, read_s: float = 0.005) -> Iterator[Path]:
    """Mounts a folder, served by a process of its own, until the end of the block.

    Raises:
        MountError: This system or user may not mount.
    """
    target.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.slow_mount", str(source.resolve()), str(target)]
    root = Path(__file__).parent.parent
    server = subprocess.Popen([*command, str(open_s), str(read_s)], cwd=root, stderr=subprocess.DEVNULL)
    try:
        while not target.is_mount():
            if server.poll() is not None:
                raise MountError(f"{target} can't be mounted")
            time.sleep(0.02)
        yield target
    finally:
        if target.is_mount():
            ctypes.CDLL(None).umount2(os.fsencode(target), _DETACH)
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("open_s", type=float, nargs="?", default=0.02, help="seconds to open a file (default: 0.02)")
    parser.add_argument("read_s", type=float, nargs="?", default=0.005, help="seconds for a read (default: 0.005)")
    arguments = parser.parse_args()
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
    flags = _READ_ONLY | _NO_DEVICES | _NO_SETUID
    if libc.mount(b"slow_mount", os.fsencode(arguments.target), b"fuse", flags, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    mount = SlowMount(arguments.source, arguments.open_s, arguments.read_s)
    threads = [threading.Thread(target=mount.serve, args=(device,), daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
