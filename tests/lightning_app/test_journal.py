"""The journal of a run: what is written, read back, and recognised as a repetition."""

import json
import math
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lightning_app.azureml.journal import Journal, numbered_rows, read_journal
from lightning_app.azureml.journal_identity import read_identity
from lightning_app.run_folder import RunFolder

PLACES = {"a job": "run", "no job": None}


def rows(folder: RunFolder) -> list[tuple[int, dict[str, float]]]:
    return [(row["step"], row["metrics"]) for row in read_journal(folder.journal)]


def take_away(folder: RunFolder, how: str) -> None:
    if how == "archived":
        folder.archive()
    elif how == "deleted":
        folder.journal.unlink()
    else:
        shutil.rmtree(folder.root)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_a_row_is_one_standard_json_object_with_its_time(folder: RunFolder) -> None:
    Journal(folder).append(2000, 0, {"train_loss": 2.19})

    row = json.loads(folder.journal.read_text())
    age = datetime.now(timezone.utc) - datetime.fromisoformat(row.pop("time"))
    assert folder.journal.read_text().count("\n") == 1
    assert row == {"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}}
    assert timedelta(0) <= age < timedelta(hours=1)


def test_nonfinite_numbers_are_kept_as_strings(folder: RunFolder) -> None:
    Journal(folder).append(1, None, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 10**400})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(folder.journal.read_text(), parse_constant=refuse)["metrics"] == {
        "a": "NaN",
        "b": "Infinity",
        "c": "-Infinity",
        "d": "Infinity",
    }


def test_every_row_is_kept_in_the_order_of_logging(folder: RunFolder) -> None:
    logged = [(10, {"a": 1.0}), (20, {"a": 2.0}), (20, {"a": 3.0}), (-1, {"a": 4.0}), (10, {"a": 5.0}), (0, {"b": 6.0})]
    for step, metrics in logged[:3]:
        assert Journal(folder).append(step, 0, metrics)
    journal = Journal(folder)
    for step, metrics in logged[3:]:
        assert journal.append(step, 0, metrics)

    assert rows(folder) == logged


def test_a_continued_run_writes_no_row_twice_and_every_new_one(folder: RunFolder) -> None:
    journal = Journal(folder)
    for step in (10, 20):
        journal.append(step, 0, {"a": 1.0})
    position = journal.position
    for step in (30, 30, 40):
        journal.append(step, 0, {"a": 1.0})
    journal.append(40, 0, {"b": 1.0})

    resumed = Journal(folder)
    resumed.continue_at({resumed.identity.id: position})
    written = [
        resumed.append(30, 0, {"a": 2.0}),
        resumed.append(30, 0, {"a": 2.0}),
        resumed.append(30, 0, {"a": 2.0}),  # the third, and there were two
        resumed.append(30, 1, {"a": 2.0}),  # another epoch
        resumed.append(40, 0, {"a": 2.0, "b": 2.0}),  # other names
        resumed.append(40, 0, {"b": 2.0}),
        resumed.append(50, 0, {"a": 2.0}),
        resumed.append(40, 0, {"a": 2.0}),  # training was beyond it: a new fit
    ]

    assert written == [False, False, True, True, True, False, True, True]
    assert rows(folder)[6:] == [
        (30, {"a": 2.0}),
        (30, {"a": 2.0}),
        (40, {"a": 2.0, "b": 2.0}),
        (50, {"a": 2.0}),
        (40, {"a": 2.0}),
    ]


def test_the_position_counts_the_complete_rows_of_all_who_write(folder: RunFolder) -> None:
    journal, positions = Journal(folder), []
    for step in (10, 20, 30):
        journal.append(step, 0, {"a": 1.0})
        positions.append(journal.position)
    Journal(folder).append(40, 0, {"a": 1.0})
    positions.append(journal.position)
    with folder.journal.open("a") as file:
        file.write('{"step": 50, "metrics": {"a"')
    positions.append(journal.position)
    os.truncate(folder.journal, 0)
    positions.append(journal.position)

    assert positions == [1, 2, 3, 4, 4, 0]


def test_while_rows_repeat_the_position_is_that_of_the_next_one_that_repeats(folder: RunFolder) -> None:
    """A run that is killed while it repeats rows continues from a checkpoint that it has saved meanwhile."""
    for step in (2, 4, 6, 8):
        Journal(folder).append(step, 0, {"loss": 1.0})
    second = Journal(folder)
    second.continue_from(1)
    assert not second.append(4, 0, {"loss": 1.0})
    assert second.position == 2

    third = Journal(folder)
    third.continue_at({third.identity.id: second.position})
    written = [third.append(step, 0, {"loss": 1.0}) for step in (6, 8, 10)]

    assert written == [False, False, True]
    assert third.position == 5
    assert [row["step"] for row in read_journal(folder.journal)] == [2, 4, 6, 8, 10]


def test_the_checkpoint_of_another_journal_makes_nothing_a_repetition(folder: RunFolder) -> None:
    Journal(folder).append(10, 0, {"a": 1.0})

    journal = Journal(folder)
    journal.continue_at({"another#1": 0})

    assert journal.append(10, 0, {"a": 2.0})


def test_a_checkpoint_without_a_position_goes_by_its_step(folder: RunFolder) -> None:
    for step in (10, 20, 30):
        Journal(folder).append(step, 0, {"a": 1.0})

    journal = Journal(folder)
    journal.continue_after_step(20)

    assert [journal.append(step, 0, {"a": 2.0}) for step in (20, 30, 40)] == [True, False, True]


def test_a_journal_that_was_lost_with_its_disk_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identities, positions = [], []
    for node in ("first", "second"):
        (tmp_path / node).mkdir()
        monkeypatch.chdir(tmp_path / node)
        Path("outputs").mkdir()
        journal = Journal(RunFolder(Path("outputs")), run="run")
        if node == "second":
            journal.continue_at({identities[0].id: positions[0]})
        for step in (10, 20):
            journal.append(step, 0, {"a": 1.0})
        identities.append(journal.identity)
        positions.append(journal.position)

    assert identities[0].id == identities[1].id
    assert (identities[1].first_row, positions) == (2, [2, 4])


@pytest.mark.parametrize("run", PLACES.values(), ids=PLACES)
def test_a_new_training_in_the_folder_has_another_identity(folder: RunFolder, run: str | None) -> None:
    journal = Journal(folder, run)
    journal.append(1, 0, {"a": 1.0})
    first, again = journal.identity, Journal(folder, run).identity
    folder.archive()
    new = Journal(folder, run)
    new.continue_at({first.id: 0})

    assert first == again
    assert new.identity.id != first.id
    assert new.position == 0


@pytest.mark.parametrize("how", ["deleted", "archived", "deleted with its folder"])
def test_a_journal_that_is_taken_away_during_the_run_is_begun_anew(folder: RunFolder, how: str) -> None:
    journal = Journal(folder, "run")
    journal.append(1, 0, {"a": 1.0})
    before = journal.identity
    take_away(folder, how)

    journal.append(2, 0, {"a": 2.0})

    assert rows(folder) == [(2, {"a": 2.0})]
    assert read_identity(folder) == journal.identity
    assert journal.identity.id != before.id


@pytest.mark.parametrize("how", ["deleted", "archived", "deleted with its folder"])
def test_an_earlier_run_of_the_process_whose_journal_is_gone_leaves_nothing_to_the_next_one(
    folder: RunFolder, how: str
) -> None:
    journal = Journal(folder, "run")
    journal.append(1, 0, {"a": 1.0})
    before = journal.identity
    take_away(folder, how)

    journal.continue_from(0)  # as the loggers of a run do that starts from the beginning
    identity, position = journal.identity, journal.position
    journal.append(1, 0, {"a": 2.0})

    assert (identity.id != before.id, position) == (True, 0)
    assert rows(folder) == [(1, {"a": 2.0})]


def test_a_journal_stays_where_it_is_when_the_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs").mkdir()
    journal = Journal(RunFolder(Path("outputs")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")

    journal.append(1, 0, {"a": 1.0})

    assert rows(RunFolder(tmp_path / "outputs")) == [(1, {"a": 1.0})]


def test_a_row_torn_by_a_power_cut_is_removed(folder: RunFolder) -> None:
    for torn in (b'{"step": 2, "metr', b"\0\0\0\0"):
        Journal(folder).append(1, 0, {"a": 1.0})
        with folder.journal.open("ab") as file:
            file.write(torn)

    Journal(folder).append(2, 0, {"a": 2.0})

    assert [step for step, _ in rows(folder)] == [1, 1, 2]
    assert folder.journal.read_bytes().count(b"\n") == 3


def test_a_last_row_without_an_end_of_line_is_kept(folder: RunFolder) -> None:
    folder.journal.write_text('{"step": 1, "metrics": {"a": 1.0}}')

    Journal(folder).append(2, 0, {"a": 2.0})

    assert rows(folder) == [(1, {"a": 1.0}), (2, {"a": 2.0})]


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"",
        b"[1, 2]",
        b'{"step": 1}',
        b'{"step": "1", "metrics": {"a": 1}}',
        b'{"step": 1, "metrics": {"a": "text"}}',
        b'{"step": 1, "metrics": {"a": [1]}}',
        b'{"step": 1, "epoch": "x", "metrics": {"a": 1}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_foreign_line_is_skipped_and_kept(folder: RunFolder, line: bytes) -> None:
    Journal(folder).append(1, 0, {"a": 1.0})
    with folder.journal.open("ab") as file:
        file.write(line + b"\n")

    journal = Journal(folder)
    journal.append(2, 0, {"a": 2.0})

    assert rows(folder) == [(1, {"a": 1.0}), (2, {"a": 2.0})]
    assert journal.foreign_lines == [(1, line + b"\n")]
    assert line in folder.journal.read_bytes()


def test_rows_after_those_that_a_copy_lacks_have_numbers_of_their_own(folder: RunFolder) -> None:
    """The service knows rows by their numbers: a new one must not have that of a lost one."""
    journal = Journal(folder)
    for step in range(5):
        journal.append(step, None, {"loss": 1.0})
    position, lines = journal.position, folder.journal.read_text().splitlines(keepends=True)
    folder.journal.write_text("".join(lines[:3]))  # the copy of the journal is older than that of the checkpoint

    resumed = Journal(folder)
    resumed.continue_at({resumed.identity.id: position})
    resumed.append(5, None, {"loss": 0.5})

    assert [(number, row["step"]) for number, row in numbered_rows(folder.journal) if row["metrics"]] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (5, 5),
    ]
