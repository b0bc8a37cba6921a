"""Which files are in a snapshot: those that azureml-core uploads, and where it fails."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from azureml._base_sdk_common.merkle_tree import DirTreeNode, create_merkletree
from azureml._project.ignore_file import get_project_ignore_file

from submit.preflight import snapshot_checks
from submit.preflight.checks import check_folder, check_snapshot
from submit.preflight.snapshot import Snapshot
from submit.v1.sdk import SDK
from tests.support.commands import ROOT
from tests.support.preflight import texts, write


def uploaded_by_azureml(folder: Path) -> list[str]:
    """The files of the tree that azureml-core's SnapshotsClient.create_snapshot sends."""
    excluded = get_project_ignore_file(str(folder)).is_file_excluded
    return files_of(create_merkletree(str(folder), excluded), "")


def files_of(node: DirTreeNode, within: str) -> list[str]:
    names = []
    for child in node.children:
        name = within + child.name
        names += [name] if child.is_file() else files_of(child, name + "/")
    return names


IGNORE_FILES = {
    "folder with slash": "data/\n",
    "folder without slash": "data\n",
    "from the root": "/data/\n/a.txt\n",
    "by ending": "*.txt\n# comment\n\n",
    "taken back": "data/*\n!data/keep.txt\n",
    "folder taken back with slash": "data/*\n!data/keep/\n",
    "folder taken back without slash": "data/*\n!data/keep\n",
    "taken back below a slash": "data/\n!data/keep/b.txt\n",
    "stars": "**/keep/**\n",
    "below": "data/**\n",
    "all hidden": ".*\n",
    "everything": "*\n!a.txt\n",
    "blank and escaped": "  data  \n\\#x\n\\!y\n",
    "windows line ends": "data/\r\n*.txt\r\n",
    "a class of letters": "[ab].txt\n",
    "nothing": "",
}


@pytest.mark.parametrize("used", [".amlignore", ".gitignore"])
@pytest.mark.parametrize("rules", IGNORE_FILES.values(), ids=IGNORE_FILES)
def test_the_snapshot_has_the_files_that_azureml_uploads(tmp_path: Path, rules: str, used: str) -> None:
    write(tmp_path, "a.txt", "b.py", ".hidden", "data/a.txt", "data/keep.txt", "data/keep/b.txt", "data/keep/c/d.py")
    write(tmp_path, "data/.gitignore", "data/keep/.amlignore", text="*\n")
    write(tmp_path, "#x", "!y", "with blank.py", ".git/config", "x/data/é.txt")
    write(tmp_path, used, text=rules)

    snapshot = Snapshot.of(tmp_path, SDK.ignore_rules)

    assert list(snapshot.files) == uploaded_by_azureml(tmp_path)
    assert snapshot.size == sum((tmp_path / name).stat().st_size for name in snapshot.files)


def test_amlignore_replaces_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.py")
    write(tmp_path, ".gitignore", text="a.py\n")
    write(tmp_path, ".amlignore", text="b.py\n")

    assert (
        list(Snapshot.of(tmp_path, SDK.ignore_rules).files)
        == [".amlignore", ".gitignore", "a.py"]
        == uploaded_by_azureml(tmp_path)
    )


def test_links_are_followed_as_azureml_does(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write(project, "code/a.py", "data/big.bin")
    write(project, ".amlignore", text="data/\n")
    (project / "also").symlink_to("code")
    (project / "b.py").symlink_to("code/a.py")
    (project / "shown").symlink_to("data/big.bin")
    (project / "data2").symlink_to("data")

    snapshot = Snapshot.of(project, SDK.ignore_rules)

    assert list(snapshot.files) == uploaded_by_azureml(project)
    assert "also/a.py" in snapshot.files
    assert {"shown", "data2/big.bin"} <= snapshot.files.keys()
    assert set(snapshot.links) == {"also", "b.py", "data2", "shown"}


def test_a_folder_that_is_given_by_a_link_is_looked_at(project: Path) -> None:
    link = project.with_name("link")
    link.symlink_to(project)

    found = Snapshot.of(link, SDK.ignore_rules)

    assert list(found.files) == uploaded_by_azureml(link) == list(Snapshot.of(project, SDK.ignore_rules).files)


def test_a_relative_folder_is_the_same_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, ".amlignore", text="/models/\n")
    monkeypatch.chdir(project.parent)

    assert Snapshot.of(Path("project/../project"), SDK.ignore_rules) == Snapshot.of(project, SDK.ignore_rules)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("nowhere"), "a broken link"),
        (lambda path: path.symlink_to(path.name), "a broken link"),
        (lambda path: path.symlink_to(path.parent), "a link to a folder above it"),
        (os.mkfifo, "neither a file nor a folder"),
    ],
    ids=["dangling", "to itself", "to its folder", "pipe"],
)
def test_where_azureml_core_fails_with_an_exception_there_is_an_error(
    project: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(project / "models" / "odd")

    with pytest.raises(OSError):  # noqa: PT011 - of several kinds
        uploaded_by_azureml(project)
    (finding,) = check_folder(project, SDK)

    assert finding.level == "error"
    assert f"'models/odd' is {reason}, at which azureml-core fails; " in finding.text


@pytest.mark.parametrize("content", [b"caf\xe9/\n", b"!\n"], ids=["not UTF-8", "no pattern"])
def test_an_ignore_file_at_which_azureml_core_fails_is_an_error(project: Path, content: bytes) -> None:
    (project / ".amlignore").write_bytes(content)

    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        uploaded_by_azureml(project)
    (finding,) = check_folder(project, SDK)

    assert finding.level == "error"
    assert "'.amlignore' is an ignore file with characters or patterns" in finding.text


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_folder(tmp_path / "missing", SDK)

    assert "not a folder; expected the folder of the project" in finding.text


def test_files_that_can_not_be_read_are_reported(project: Path) -> None:
    snapshot = Snapshot(project, {}, unreadable=("models/a.py", "models/b.py"))

    assert "'models/a.py', 'models/b.py' can't be read" in snapshot_checks.check_readable(snapshot)[0].text


def test_an_ignored_broken_link_is_no_error(project: Path) -> None:
    (project / "old").symlink_to("nowhere")
    write(project, ".amlignore", text="old\n")

    assert check_folder(project, SDK) == []
    assert "old" not in uploaded_by_azureml(project)


def test_links_that_lead_out_are_errors_and_links_within_are_warnings(project: Path) -> None:
    write(project.parent, "elsewhere/passwords.txt")
    (project / "folder").symlink_to(project.parent / "elsewhere")
    (project / "file").symlink_to(project.parent / "elsewhere" / "passwords.txt")
    (project / "copy.py").symlink_to("models/cifar_net.py")

    findings = check_folder(project, SDK)

    assert [text.split(" is a link")[0] for text in texts(findings, "error")] == [
        "snapshot: 'file'",
        "snapshot: 'folder'",
    ]

    assert texts(findings, "warning") == ["snapshot: 'copy.py' is a link; 'models/cifar_net.py' is uploaded instead"]


def test_this_projects_own_snapshot_has_what_a_job_needs_and_no_more() -> None:
    snapshot = Snapshot.of(ROOT, SDK.ignore_rules)

    assert not [name for name in snapshot.files if name.startswith((".git/", ".venv/", "tests/", "outputs/", "data/"))]
    assert not texts(check_snapshot(snapshot), "error")
