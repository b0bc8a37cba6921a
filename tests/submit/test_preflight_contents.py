"""What makes a snapshot too large, and what doesn't belong in one."""

from pathlib import Path

import pytest

from submit.preflight.checks import check_folder
from submit.preflight.snapshot_checks import MEGABYTE
from submit.v1.sdk import SDK
from tests.support.preflight import about, write


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    ("size", "levels"), [(24, []), (25, ["warning"]), (299, ["warning"]), (301, ["error"])], ids=str
)
def test_a_large_snapshot_is_reported_with_its_largest_files(project: Path, size: int, levels: list[str]) -> None:
    sparse(project / "big.bin", size * MEGABYTE)

    found = about(project, "MB")

    assert [level for level, _ in found] == levels
    assert all(f"'big.bin' ({size}.0 MB)" in text for _, text in found)


def test_many_files_are_reported_with_the_folders_that_have_most(project: Path) -> None:
    write(project, *(f"many/{number}.txt" for number in range(1995)))
    assert not about(project, "2,000")

    write(project, "one.txt")

    assert about(project, "2,000") == [
        (
            "error",
            "snapshot: 2,001 files, most in 'many' (1,995), '.amlignore' (1), 'datamodules' (1); Azure ML accepts "
            "2,000 at most; add what isn't needed to .amlignore",
        )
    ]


def test_an_empty_snapshot_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, ".amlignore", text="*\n")

    assert about(tmp_path, "it has no files")[0][0] == "error"


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("sub/.git/config", "error", "'sub/.git'"),
        (".worktree/.git", "error", "'.worktree/.git'"),
        ("my-env/pyvenv.cfg", "error", "'my-env' is a virtual environment"),
        ("tools/conda/conda-meta/history", "error", "'tools/conda' is a virtual environment"),
        ("outputs/checkpoints/last.txt", "error", "'outputs' is an earlier run"),
        ("logs/events", "warning", "'logs'"),
        ("models/__pycache__/a.pyc", "warning", "'models/__pycache__'"),
        ("old.ckpt", "warning", "'old.ckpt' looks like a checkpoint"),
    ],
)
def test_what_does_not_belong_in_a_snapshot_is_reported(project: Path, name: str, level: str, message: str) -> None:
    write(project, name)

    findings = check_folder(project, SDK)

    assert [finding.level for finding in findings] == [level]
    assert message in findings[0].text
    assert ".amlignore" in findings[0].text


def test_a_virtual_environment_is_reported_once(project: Path) -> None:
    write(project, "env/pyvenv.cfg", "env/lib/nested/pyvenv.cfg", "env/bin/python")

    assert len(about(project, "virtual environment")) == 1


def test_a_thousand_images_are_data(project: Path) -> None:
    write(project, *(f"photos/train/{number}.JPG" for number in range(1000)))
    assert not about(project, "images")

    write(project, "photos/train/one-more.png")

    ((level, text),) = about(project, "images")
    assert level == "warning"
    assert text.startswith("snapshot: 'photos/train' holds 1,001 images; ")


def test_without_amlignore_a_warning_says_what_is_used_instead(project: Path) -> None:
    (project / ".amlignore").unlink()
    assert "there is none, so everything is uploaded, even .git" in about(project, ".amlignore")[0][1]

    write(project, ".gitignore", text="data/\n")

    assert "there is none, so .gitignore is used, and .git is uploaded" in about(project, ".amlignore")[0][1]


def test_nested_ignore_files_and_patterns_without_effect_are_reported(project: Path) -> None:
    write(project, "models/.gitignore", text="*.bin\n")
    write(project, "datamodules/.gitignore", text="# nothing\n")
    write(project, ".amlignore", text="data/*\n!data/keep/\n!data/**/\n")

    assert about(project, "doesn't read it")[0][1].startswith("'models/.gitignore': ")
    assert (
        "'!data/keep/' includes no ignored folder in azureml-core; write '!data/keep'" in about(project, "keep")[0][1]
    )
    assert len(about(project, "includes no ignored folder")) == 1
