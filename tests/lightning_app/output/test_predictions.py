"""Where predict writes its table: never over the predictions of another run."""

import os
from pathlib import Path

import pytest

from lightning_app.errors import UsageError
from lightning_app.output.predictions import predictions_file, require_writable
from lightning_app.run_folder import RunFolder

DEFAULT = RunFolder(Path("outputs"))


@pytest.fixture(autouse=True)
def run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("outputs", "other"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").touch()
        (tmp_path / name / "predictions.csv").touch()
    (tmp_path / "loose.ckpt").touch()


def file_of(checkpoint: str, folder: RunFolder | None = None, *, is_given: bool = True) -> Path:
    """``folder``: that of ``--output_dir``; ``is_given``: whether ``--ckpt_path`` names the checkpoint."""
    return predictions_file(
        Path(checkpoint), folder or DEFAULT, folder_is_given=folder is not None, checkpoint_is_given=is_given
    )


def test_without_a_checkpoint_the_table_is_in_the_run_folder() -> None:
    assert file_of("outputs/checkpoints/best.ckpt", is_given=False) == Path("outputs/predictions.csv")
    assert file_of("other/checkpoints/best.ckpt", RunFolder(Path("other")), is_given=False) == Path(
        "other/predictions.csv"
    )


def test_with_the_checkpoint_of_another_run_the_table_is_in_its_folder() -> None:
    assert file_of("other/checkpoints/best.ckpt") == Path("other/predictions.csv")


def test_with_a_checkpoint_of_no_run_the_table_is_in_the_current_folder() -> None:
    assert file_of("loose.ckpt") == Path("predictions.csv")


def test_the_predictions_of_another_network_are_not_overwritten() -> None:
    Path("predictions.csv").touch()

    for checkpoint, folder in (
        ("loose.ckpt", None),
        ("outputs/checkpoints/best.ckpt", RunFolder(Path("other"))),
        ("other/checkpoints/best.ckpt", DEFAULT),  # given, although it would be the default
    ):
        with pytest.raises(UsageError, match=r"predictions.csv' exists, and may be .* give another file by --csv"):
            file_of(checkpoint, folder)


def test_a_given_folder_without_predictions_takes_the_table() -> None:
    assert file_of("other/checkpoints/best.ckpt", RunFolder(Path("new"))) == Path("new/predictions.csv")


def test_a_table_whose_name_is_that_of_a_folder_is_one_line() -> None:
    Path("new/predictions.csv").mkdir(parents=True)

    with pytest.raises(UsageError, match=r"--output_dir 'new/predictions.csv': can't be written \(Is a directory\)"):
        require_writable(Path("new/predictions.csv"), "--output_dir")


def test_a_table_that_can_not_be_written_is_one_line() -> None:
    require_writable(Path("new/folder/table.csv"), "--csv")

    with pytest.raises(UsageError, match=r"--csv 'loose.ckpt/table.csv': can't be written \(Not a directory\)"):
        require_writable(Path("loose.ckpt/table.csv"), "--csv")
    assert not Path("new").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_table_in_a_folder_without_permission_is_one_line() -> None:
    Path("other").chmod(0o500)

    with pytest.raises(UsageError, match="Permission denied"):
        require_writable(Path("other/table.csv"), "--csv")
