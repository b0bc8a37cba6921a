"""Files whose names others have chosen, written to folders of this machine."""

from pathlib import Path

import pytest

from submit.errors import SubmitError
from submit.execution.files import write_files
from submit.safe_paths import path_within
from tests.support.hostile_names import LEAD_OUT, TOO_LONG


@pytest.mark.parametrize("name", [*LEAD_OUT, TOO_LONG, f"a/{TOO_LONG}", "\u00fc" * 150])
def test_a_path_that_leads_out_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SubmitError) as error:
        write_files({"first": b"1", name: b"2"}, tmp_path / "folder")

    assert str(error.value) == f"{name!r:.100}: expected a path within the folder, its names of 255 bytes at most"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "a/b.txt", "a b/...", "..a", "-rf", "ü" * 100, "a\nb", "~", "$HOME"])
def test_any_other_path_is_written(tmp_path: Path, name: str) -> None:
    write_files({name: b"1"}, tmp_path)

    assert path_within(tmp_path, name).read_bytes() == b"1"
    assert path_within(tmp_path, name).resolve().is_relative_to(tmp_path)
