"""The folder of a run, checked before work starts."""

from pathlib import Path

import pytest

from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder, run_of


@pytest.mark.parametrize("name", ["metrics.jsonl", "hparams.yaml", "config.yaml", "checkpoints/last.ckpt", ".run.lock"])
def test_a_folder_in_the_place_of_a_file_of_the_run_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)

    with pytest.raises(UsageError, match=rf"--output_dir: '.*{name}' is a folder; expected a file; remove or rename"):
        RunFolder(tmp_path).check_writable()


@pytest.mark.parametrize("name", ["checkpoints", "charts", "previous"])
def test_a_file_in_the_place_of_a_folder_of_the_run_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(UsageError, match=rf"--output_dir: '.*{name}' is a file; expected a folder; remove or rename"):
        RunFolder(tmp_path).check_writable()


def test_a_folder_of_an_earlier_run_and_one_that_is_not_there_yet_can_be_written(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "config.yaml", "checkpoints/last.ckpt", "charts/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    RunFolder(tmp_path).check_writable()
    RunFolder(tmp_path / "new" / "run").check_writable()

    assert not (tmp_path / "new").exists()


def test_the_run_of_a_checkpoint_is_the_folder_above_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, loose = tmp_path / "run" / "checkpoints" / "best.ckpt", tmp_path / "loose.ckpt"
    checkpoint.parent.mkdir(parents=True)
    for file in (checkpoint, loose):
        file.touch()
    (tmp_path / "link.ckpt").symlink_to(checkpoint)

    monkeypatch.chdir(tmp_path)
    assert run_of(Path("run/checkpoints/best.ckpt")) == run_of(Path("link.ckpt")) == RunFolder(Path("run"))
    assert run_of(loose) is None
    monkeypatch.chdir(checkpoint.parent)
    assert run_of(Path("best.ckpt")) == RunFolder(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert run_of(Path("checkpoints/best.ckpt")) == RunFolder(Path())
