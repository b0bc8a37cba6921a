"""Features on the disk: shared, checked, bounded."""

import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from datamodules.feature_table import FeatureTable, features_folder, open_table

COUNT, WIDTH = 10, 6
ALL = torch.arange(COUNT)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_large_files() -> Iterator[None]:
    """The system refuses to make a file of more than 100 bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def features() -> Tensor:
    return torch.arange(COUNT * WIDTH, dtype=torch.float32).reshape(COUNT, WIDTH)


def opened(key: str = "key", view: int = 0) -> FeatureTable:
    table = open_table(key, view, COUNT, WIDTH, torch.float32)
    assert table is not None
    return table


def fill_half(start: int) -> None:
    table, half = opened(), ALL[start::2]
    for number in half.split(1):  # type: ignore[no-untyped-call]
        table.put(number, features()[number])


def test_rows_that_were_put_are_there_for_the_next_process() -> None:
    first = opened()
    first.put(torch.tensor([7, 2]), features()[[7, 2]])

    later = opened()

    assert later.missing(ALL).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert torch.equal(later.rows(torch.tensor([2, 7, 2])), features()[[2, 7, 2]])


def test_views_and_keys_are_apart() -> None:
    opened().put(ALL, features())

    assert len(opened(view=1).missing(ALL)) == len(opened(key="other").missing(ALL)) == COUNT


def test_two_processes_fill_one_table() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(fill_half, [0, 1])

    assert torch.equal(opened().rows(ALL), features())
    assert len(opened().missing(ALL)) == 0


def test_a_row_of_another_process_is_seen_without_opening_the_table_again() -> None:
    table = opened()
    assert len(table.missing(ALL)) == COUNT

    opened().put(torch.tensor([3]), features()[[3]])

    assert 3 not in table.missing(ALL)


def test_a_damaged_row_is_missing() -> None:
    opened().put(ALL, features())
    file = features_folder() / "key" / "view-0000.rows"
    content = bytearray(file.read_bytes())
    content[4 * WIDTH * 5 + 3] ^= 1  # a bit of row 5
    file.write_bytes(content)

    assert opened().missing(ALL).tolist() == [5]


def test_the_rows_of_a_truncated_file_are_missing() -> None:
    opened().put(ALL, features())
    os.truncate(features_folder() / "key" / "view-0000.rows", 4 * WIDTH * 8)

    assert opened().missing(ALL).tolist() == [8, 9]


@pytest.mark.usefixtures("no_large_files")
def test_without_room_on_the_disk_features_are_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    table = opened()
    table.put(ALL, features())

    assert torch.equal(table.rows(ALL), features())
    assert len(opened().missing(ALL)) == COUNT
    assert caplog.messages[0] == (
        "Features are kept in memory, for this run only: the disk can't have them (File too large)."
    )


def test_without_room_anywhere_there_is_no_table(caplog: pytest.LogCaptureFixture) -> None:
    assert open_table("key", 0, 2**40, WIDTH, torch.float32) is None
    assert caplog.messages == ["No room for features of 28,672 GB, on the disk (too little space) or in memory."]
    assert list((features_folder() / "key").iterdir()) == []


def test_features_that_were_not_used_for_a_week_are_removed() -> None:
    opened("old")
    opened("recent")
    week = time.time() - 8 * 24 * 3600
    os.utime(features_folder() / "old", (week, week))

    opened("new")

    assert sorted(path.name for path in features_folder().iterdir()) == ["new", "recent"]
