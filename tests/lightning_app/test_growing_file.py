"""Lines of a file that grows are read once, whole, and in their order."""

from pathlib import Path

import pytest

from lightning_app.growing_file import GrowingLines, read_file


def test_a_file_that_does_not_exist_yet_has_no_lines(tmp_path: Path) -> None:
    lines = GrowingLines(read_file(tmp_path / "log"))

    assert (lines.next(), lines.rest()) == ([], b"")


def test_each_line_comes_once_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = GrowingLines(read_file(path))
    path.write_bytes(b"one\ntw")

    first = lines.next()
    path.write_bytes(b"one\ntwo\n\nfour")

    assert (first, lines.next(), lines.next(), lines.rest()) == ([b"one"], [b"two", b""], [], b"four")


def test_a_line_longer_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 100 + b"\nb\n")
    lines = GrowingLines(read_file(path), piece=8)

    assert lines.next() == [b"a" * 100, b"b"]


def test_a_torn_line_that_is_written_again_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n{torn")
    lines = GrowingLines(read_file(path))
    first = lines.next()

    path.write_bytes(b"one\ntwo\n")

    assert (first, lines.next()) == ([b"one"], [b"two"])


def test_a_read_that_fails_loses_nothing() -> None:
    failures = [ConnectionError("the service is away")]

    def read(offset: int, length: int) -> bytes:
        if failures:
            raise failures.pop()
        return b"one\ntwo\n"[offset : offset + length]

    lines = GrowingLines(read)
    with pytest.raises(ConnectionError):
        lines.next()

    assert lines.next() == [b"one", b"two"]
