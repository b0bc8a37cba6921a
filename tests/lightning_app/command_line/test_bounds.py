"""Values that have the right type and can't be used."""

import pytest

from lightning_app.command_line.bounds import check_bounds
from lightning_app.errors import UsageError


@pytest.mark.parametrize("name", ["monitor", "resume", "csv", "ckpt_path"])
@pytest.mark.parametrize("text", ["", " "])
def test_a_name_or_a_file_is_not_empty(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"--{name} '{text}': expected"):
        check_bounds({name: text})


def test_no_name_and_any_name_are_accepted() -> None:
    check_bounds({"monitor": None, "csv": None, "ckpt_path": None, "resume": "auto"})
    check_bounds({"monitor": "val_loss", "csv": "a.csv", "ckpt_path": "a.ckpt", "resume": "never"})
