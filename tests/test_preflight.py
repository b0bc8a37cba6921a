"""What is checked of a job before anything is sent, beside what azureml-core would do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from azureml._base_sdk_common.merkle_tree import DirTreeNode, create_merkletree
from azureml._base_sdk_common.tracking import global_tracking_info_registry
from azureml._project.ignore_file import get_project_ignore_file
from azureml.core import Environment

from submit import preflight
from submit.preflight import Finding, Snapshot, check_folder, limits, without_credentials
from submit.preflight.limits import MEGABYTE
from submit.preflight.secret_texts import secrets_in
from submit.preflight.training_arguments import class_paths
from tests.conftest import ROOT, environment

GIT = shutil.which("git") or "git"


def write(folder: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def texts(findings: Iterable[Finding], level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


def about(folder: Path, word: str, arguments: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [(f.level, f.text) for f in check_folder(folder, arguments) if word in f.text]


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


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([GIT, *arguments], cwd=folder, check=True, capture_output=True, env=git_environment(folder))


def git_environment(folder: Path) -> dict[str, str]:
    """Without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "AZUREML_"))}
    return kept | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nothing to say about."""
    folder = tmp_path / "project"
    write(folder, "lightning_app/fit.py", "datamodules/cifar10.py", "models/cifar_net.py", "pyproject.toml")
    write(folder, ".amlignore", text="/.git\n")
    return folder


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "--quiet", "--initial-branch=main")
    return project


# --- which files are in the snapshot ---

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

    snapshot = Snapshot.of(tmp_path)

    assert list(snapshot.files) == uploaded_by_azureml(tmp_path)
    assert snapshot.size == sum((tmp_path / name).stat().st_size for name in snapshot.files)


def test_amlignore_replaces_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.py")
    write(tmp_path, ".gitignore", text="a.py\n")
    write(tmp_path, ".amlignore", text="b.py\n")

    assert list(Snapshot.of(tmp_path).files) == [".amlignore", ".gitignore", "a.py"] == uploaded_by_azureml(tmp_path)


def test_links_are_followed_as_azureml_does(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write(project, "code/a.py", "data/big.bin")
    write(project, ".amlignore", text="data/\n")
    (project / "also").symlink_to("code")
    (project / "b.py").symlink_to("code/a.py")
    (project / "shown").symlink_to("data/big.bin")
    (project / "data2").symlink_to("data")

    snapshot = Snapshot.of(project)

    assert list(snapshot.files) == uploaded_by_azureml(project)
    assert "also/a.py" in snapshot.files
    assert {"shown", "data2/big.bin"} <= snapshot.files.keys()
    assert set(snapshot.links) == {"also", "b.py", "data2", "shown"}


def test_a_folder_that_is_given_by_a_link_is_looked_at(project: Path) -> None:
    link = project.with_name("link")
    link.symlink_to(project)

    assert list(Snapshot.of(link).files) == uploaded_by_azureml(link) == list(Snapshot.of(project).files)


def test_a_relative_folder_is_the_same_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, ".amlignore", text="/models/\n")
    monkeypatch.chdir(project.parent)

    assert Snapshot.of(Path("project/../project")) == Snapshot.of(project)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        (lambda path: path.symlink_to(path.name), "a link that leads nowhere"),
        (lambda path: path.symlink_to(path.parent), "a link to a folder that it lies in"),
        (os.mkfifo, "neither a file nor a folder"),
    ],
    ids=["dangling", "to itself", "to its folder", "pipe"],
)
def test_where_azureml_would_end_with_an_exception_there_is_an_error(
    project: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(project / "models" / "odd")

    with pytest.raises(OSError):  # noqa: PT011 - of several kinds
        uploaded_by_azureml(project)
    (finding,) = check_folder(project)

    assert finding.level == "error"
    assert f"'models/odd' is {reason}, at which azureml-core would end; " in finding.text


@pytest.mark.parametrize("content", [b"caf\xe9/\n", b"!\n"], ids=["not UTF-8", "no pattern"])
def test_an_ignore_file_that_azureml_ends_at_is_an_error(project: Path, content: bytes) -> None:
    (project / ".amlignore").write_bytes(content)

    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        uploaded_by_azureml(project)
    (finding,) = check_folder(project)

    assert finding.level == "error"
    assert "'.amlignore' is an ignore file with characters or patterns" in finding.text


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_folder(tmp_path / "missing")

    assert "is no folder; expected the one with the project in it" in finding.text


def test_files_that_can_not_be_read_are_told(project: Path) -> None:
    snapshot = Snapshot(project, {}, unreadable=("models/a.py", "models/b.py"))

    assert "'models/a.py', 'models/b.py' can't be read" in limits.check_readable(snapshot)[0].text


def test_an_ignored_dangling_link_is_nobodys_business(project: Path) -> None:
    (project / "old").symlink_to("nowhere")
    write(project, ".amlignore", text="old\n")

    assert check_folder(project) == []
    assert "old" not in uploaded_by_azureml(project)


def test_links_that_lead_out_are_errors_and_links_within_are_warnings(project: Path) -> None:
    write(project.parent, "elsewhere/passwords.txt")
    (project / "folder").symlink_to(project.parent / "elsewhere")
    (project / "file").symlink_to(project.parent / "elsewhere" / "passwords.txt")
    (project / "copy.py").symlink_to("models/cifar_net.py")

    findings = check_folder(project)

    assert [text.split(" is a link")[0] for text in texts(findings, "error")] == [
        "snapshot: 'file'",
        "snapshot: 'folder'",
    ]

    assert texts(findings, "warning") == [
        "snapshot: 'copy.py' is a link; 'models/cifar_net.py' is uploaded in its place"
    ]


def test_this_projects_own_snapshot_has_what_a_job_needs_and_no_more() -> None:
    snapshot = Snapshot.of(ROOT)

    assert not [name for name in snapshot.files if name.startswith((".git/", ".venv/", "tests/", "outputs/", "data/"))]
    assert not texts(preflight.check_snapshot(snapshot), "error")


# --- limits ---


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    ("size", "levels"), [(24, []), (25, ["warning"]), (299, ["warning"]), (301, ["error"])], ids=str
)
def test_a_large_snapshot_is_told_with_its_largest_files(project: Path, size: int, levels: list[str]) -> None:
    sparse(project / "big.bin", size * MEGABYTE)

    found = about(project, "MB")

    assert [level for level, _ in found] == levels
    assert all(f"'big.bin' ({size}.0 MB)" in text for _, text in found)


def test_many_files_are_told_with_the_folders_that_have_most(project: Path) -> None:
    write(project, *(f"many/{number}.txt" for number in range(1995)))
    assert not about(project, "2,000")

    write(project, "one.txt")

    assert about(project, "2,000") == [
        (
            "error",
            "snapshot: 2,001 files, most in 'many' (1,995), '.amlignore' (1), 'datamodules' (1); Azure ML takes 2,000 "
            "at most, so name what isn't needed in .amlignore",
        )
    ]


def test_an_empty_snapshot_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, ".amlignore", text="*\n")

    assert about(tmp_path, "no file is left")[0][0] == "error"


# --- what doesn't belong there ---


@pytest.mark.parametrize(
    ("name", "level", "told"),
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
def test_what_does_not_belong_in_a_snapshot_is_told(project: Path, name: str, level: str, told: str) -> None:
    write(project, name)

    findings = check_folder(project)

    assert [finding.level for finding in findings] == [level]
    assert told in findings[0].text
    assert ".amlignore" in findings[0].text


def test_a_virtual_environment_is_told_once(project: Path) -> None:
    write(project, "env/pyvenv.cfg", "env/lib/nested/pyvenv.cfg", "env/bin/python")

    assert len(about(project, "virtual environment")) == 1


def test_a_thousand_images_are_data(project: Path) -> None:
    write(project, *(f"photos/train/{number}.JPG" for number in range(1000)))
    assert not about(project, "images")

    write(project, "photos/train/one-more.png")

    ((level, text),) = about(project, "images")
    assert level == "warning"
    assert text.startswith("snapshot: 'photos/train' holds 1,001 images; ")


def test_a_project_without_amlignore_is_told_what_counts_instead(project: Path) -> None:
    (project / ".amlignore").unlink()
    assert "there is none, so everything is uploaded, .git included" in about(project, ".amlignore")[0][1]

    write(project, ".gitignore", text="data/\n")

    assert (
        "there is none, so .gitignore decides, which leaves .git to be uploaded" in about(project, ".amlignore")[0][1]
    )


def test_nested_ignore_files_and_lost_patterns_are_told(project: Path) -> None:
    write(project, "models/.gitignore", text="*.bin\n")
    write(project, "datamodules/.gitignore", text="# nothing\n")
    write(project, ".amlignore", text="data/*\n!data/keep/\n!data/**/\n")

    assert about(project, "doesn't read it")[0][1].startswith("'models/.gitignore': ")
    assert (
        "'!data/keep/' brings no ignored folder back in azureml-core; write '!data/keep'"
        in about(project, "keep")[0][1]
    )
    assert len(about(project, "ignored folder back")) == 1


# --- secrets ---

SECRETS = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----",
    "the key of a storage account": "DefaultEndpointsProtocol=https;Account" + "Key=" + "aB3/" * 21 + "ab==",
    "a shared access signature": "https://account.blob.core.windows.net/c/f?sv=2020-08-04&si"
    + "g="
    + "a%2B2" * 10
    + "&se=2030",
    "the secret of a service principal": "AZURE_CLIENT" + "_SECRET=" + "abc1Q" + "xyz-9" * 6,
    "a token of GitHub": "token: gh" + "p_" + "a1B2" * 9,
    "a token of GitLab": "glp" + "at-" + "a1B2c3" * 4,
    "a token of Azure DevOps": "pat = '" + "a1B2" * 19 + "AZ" + "DO" + "x1Y2'",
    "a token of Hugging Face": "hf" + "_" + "aBcD" * 9,
    "a key of AWS": "AK" + "IA" + "ABCD1234EFGH5678",
    "a JSON web token": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0In0." + "abcD" * 8,
    "an address with a password": "https://me:" + "a1B2c3" * 5 + "@dev.azure.com/o/p/_git/r",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("kind", "text"), SECRETS.items(), ids=SECRETS)
def test_a_secret_is_told_by_file_line_and_kind_and_never_itself(
    project: Path, kind: str, text: str, encoding: str
) -> None:
    (project / "models" / "notes.txt").write_text(f"first\n{text}\n", encoding=encoding)

    (finding,) = check_folder(project)

    assert finding.level == "error"
    assert finding.text.startswith(f"snapshot: 'models/notes.txt' line 2 holds {kind}; ")
    assert text[-12:] not in finding.text


@pytest.mark.parametrize(
    "text",
    [
        "AZURE_CLIENT_SECRET = os.environ['AZURE_CLIENT_SECRET']",
        "export AZURE_CLIENT_SECRET=$(az account get-access-token)",
        "client_secret=settings.azure_client_secret_value)",
        "AccountKey=<your key>",
        "https://user:password@example.com/",
        "sha256:" + "a1" * 32,
        "git@github.com:owner/repository.git",
        "sig=short",
    ],
)
def test_code_that_speaks_of_secrets_holds_none(text: str) -> None:
    assert list(secrets_in(text.encode())) == []


def test_binary_and_large_files_are_not_searched(project: Path) -> None:
    secret = next(iter(SECRETS.values())).encode()
    (project / "binary.bin").write_bytes(b"\0" + secret)
    (project / "large.txt").write_bytes(secret + b" " * MEGABYTE)

    assert check_folder(project) == []


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "certs/server.pem",
        "a.key",
        "id_rsa",
        "models/id_ed25519",
        "kubeconfig",
        "kubeconfig.yaml",
        ".kube/config",
        ".netrc",
        ".git-credentials",
        ".azure/azureProfile.json",
        "a.pfx",
        "credentials",
        ".aws/config",
    ],
)
def test_files_that_are_known_for_secrets_are_errors(project: Path, name: str) -> None:
    write(project, name)

    (finding,) = check_folder(project)

    assert finding.level == "error"
    assert finding.text.startswith(f"snapshot: {name!r} looks like ")


@pytest.mark.parametrize("name", [".env.example", "environment.yml", "credentials.py", "keys.txt", "config.json"])
def test_harmless_names_are_no_secrets(project: Path, name: str) -> None:
    write(project, name, text="{}")

    assert check_folder(project) == []


def test_a_public_certificate_is_no_secret(project: Path) -> None:
    write(project, "ca.pem", text="-----BEGIN CERTIFICATE-----\nabc\n")

    assert check_folder(project) == []


def test_the_address_of_a_workspace_is_found_whatever_its_name(project: Path) -> None:
    content = '{"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}'
    write(project, "config.json", "settings/mine.json", text=content)

    found = about(project, "the address of an Azure ML workspace")

    assert [level for level, _ in found] == ["error", "error"]


# --- what the training command needs ---


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("models/\n", "'models/cifar_net.py'"),
        ("*.py\n", "'lightning_app/fit.py'"),
        ("pyproject.toml\n", "'pyproject.toml'"),
        ("my_*\n", "'my_module.py'"),
        ("own\n", "'own/nets/big.py'"),
    ],
)
def test_code_that_is_ignored_by_mistake_is_an_error(project: Path, rules: str, told: str) -> None:
    write(project, "my_module.py", "own/nets/big.py")
    write(project, ".amlignore", text=rules)

    found = texts(check_folder(project, ["--model", "my_module.MyModel", "--data=own.nets.big.Data"]), "error")

    assert f"snapshot: the job needs {told}; take it out of .amlignore" in found


def test_a_package_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, ".amlignore", "fit.py")

    found = texts(check_folder(tmp_path), "error")

    assert [text.partition(";")[0].rpartition(" ")[2] for text in found] == [
        "'lightning_app'",
        "'datamodules'",
        "'models'",
        "'pyproject.toml'",
    ]


def test_a_model_of_an_installed_package_or_a_short_name_needs_no_file(project: Path) -> None:
    assert check_folder(project, ["--model", "CifarNet", "--data", "torchvision.datasets.MNIST"]) == []


def test_the_classes_of_a_configuration_file_are_needed(project: Path) -> None:
    write(project, "my_module.py", "callbacks.py")
    write(
        project,
        "c.yaml",
        text="model:\n  class_path: my_module.Net\ntrainer:\n  callbacks:\n  - class_path: callbacks.Mine\n",
    )
    write(project, ".amlignore", text="my_module.py\ncallbacks.py\n")

    found = texts(check_folder(project, ["--config", "c.yaml"]), "error")

    assert [text.split("'")[1] for text in found] == ["my_module.py", "callbacks.py"]
    assert class_paths(project, ['--model={"class_path": "a.B"}', "--data", "c.D"]) == ["a.B", "c.D"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "ignored.yaml"], "--config 'ignored.yaml': the snapshot doesn't have this file; "),
        (["--config=missing.yaml"], "--config 'missing.yaml': there is no such file in "),
        (["--model.weights", "../w.pth"], "--model.weights '../w.pth': expected a path within the project"),
        (["-c", "/tmp/../c.yaml"], "-c '/tmp/../c.yaml': expected a path within the project"),  # noqa: S108 - unused
    ],
)
def test_files_of_the_command_that_the_job_would_miss_are_errors(
    project: Path, arguments: list[str], told: str
) -> None:
    write(project, "ignored.yaml")
    write(project, ".amlignore", text="ignored.yaml\n")

    (text,) = texts(check_folder(project, arguments), "error")

    assert text.startswith(told)


def test_weights_that_the_command_names_are_no_stray_checkpoint(project: Path) -> None:
    write(project, "weights/resnet18.pth")

    assert check_folder(project, ["--model.weights", "./weights/resnet18.pth"]) == []
    assert check_folder(project, ["--model.weights", "DEFAULT"]) != []


# --- the git remote ---

TOKEN = "a1B2" * 9

ADDRESSES = {
    "https://github.com/o/r.git": "https://github.com/o/r.git",
    f"https://{TOKEN}@github.com/o/r.git": "https://github.com/o/r.git",
    f"https://user:{TOKEN}@gitlab.com:8443/o/r.git": "https://gitlab.com:8443/o/r.git",
    f"https://user:{TOKEN}@ss@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://user:{TOKEN}/x@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://user:12/{TOKEN}@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    "https://host:8080/@scope/r.git": "https://host:8080/@scope/r.git",
    f"https://user:{TOKEN}#x?y@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://gitlab.com/o/r.git?private_token={TOKEN}#x": "https://gitlab.com/o/r.git",
    "https://org@dev.azure.com/org/project/_git/repo": "https://dev.azure.com/org/project/_git/repo",
    f"https://org:{TOKEN}@dev.azure.com/org/p%20q/_git/repo": "https://dev.azure.com/org/p%20q/_git/repo",
    f"https://{TOKEN}@org.visualstudio.com/p/_git/repo": "https://org.visualstudio.com/p/_git/repo",
    f"https://proxy.example/https://u:{TOKEN}@github.com/o/r": "https://proxy.example/https://github.com/o/r",
    "https://host/@scope/r.git": "https://host/@scope/r.git",
    "http://[::1]:8080/r.git": "http://[::1]:8080/r.git",
    "git@github.com:o/r.git": "git@github.com:o/r.git",
    "git@ssh.dev.azure.com:v3/org/project/repo": "git@ssh.dev.azure.com:v3/org/project/repo",
    "org@vs-ssh.visualstudio.com:v3/org/project/repo": "vs-ssh.visualstudio.com:v3/org/project/repo",
    f"oauth2:{TOKEN}@gitlab.com:o/r.git": "gitlab.com:o/r.git",
    "ssh://git@github.com/o/r.git": "ssh://git@github.com/o/r.git",
    f"ssh://git:{TOKEN}@github.com:22/o/r.git": "ssh://github.com:22/o/r.git",
    "ssh://alice@host:2222/r.git": "ssh://host:2222/r.git",
    "git+ssh://git@host/r.git": "git+ssh://git@host/r.git",
    "https://git@host/r.git": "https://host/r.git",
    "/srv/git/a@b:c.git": "/srv/git/a@b:c.git",
    "../r@2.git": "../r@2.git",
    "C:\\git\\r.git": "C:\\git\\r.git",
    "file:///srv/git/r.git": "file:///srv/git/r.git",
    "origin": "origin",
    "": "",
}


@pytest.mark.parametrize(("given", "expected"), ADDRESSES.items(), ids=[f"address {n}" for n in range(len(ADDRESSES))])
def test_an_address_loses_its_credentials_and_nothing_else(given: str, expected: str) -> None:
    assert without_credentials(given) == expected
    assert without_credentials(expected) == expected


def recorded_by_azureml(folder: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> dict[str, str]:
    """The properties that azureml-core stores with snapshot and run."""
    with monkeypatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("GIT_", "AZUREML_"))]:
            patch.delenv(name)
        for name, value in (git_environment(folder) | more).items():
            patch.setenv(name, value)
        properties: dict[str, str] = global_tracking_info_registry.gather_all(str(folder))
    return properties


def set_remote(folder: Path, address: str) -> None:
    git(folder, "remote", "add", "origin", address)


def set_instead_of(folder: Path, address: str) -> None:
    """What build servers do: the token is in the user's settings, and the remote knows nothing of it."""
    git(folder, "remote", "add", "origin", "https://host.example/o/r.git")
    git(folder, "config", "--global", f"url.{address.removesuffix('o/r.git')}.insteadOf", "https://host.example/")


@pytest.mark.parametrize("set_up", [set_remote, set_instead_of])
def test_azureml_stores_no_token_with_the_variables_it_is_given(
    repository: Path, monkeypatch: pytest.MonkeyPatch, set_up: Callable[[Path, str], None]
) -> None:
    set_up(repository, f"https://user:{TOKEN}@host.example/o/r.git")
    variables = git_environment(repository) | {"AZUREML_GIT_BUILD_URI": f"https://{TOKEN}@ci.example/1"}

    cleaned = preflight.clean_addresses(repository, variables)
    findings = preflight.check_addresses(repository, variables)

    assert TOKEN in str(recorded_by_azureml(repository, monkeypatch, variables))
    properties = recorded_by_azureml(repository, monkeypatch, variables | cleaned)
    assert TOKEN not in str(properties)
    assert properties["azureml.git.repository_uri"] == "https://host.example/o/r.git"
    assert properties["azureml.git.build_uri"] == "https://ci.example/1"
    assert [finding.level for finding in findings] == ["warning", "warning"]
    assert TOKEN not in str(findings)


def test_an_address_that_azureml_is_told_is_cleaned_as_well(repository: Path) -> None:
    variables = git_environment(repository) | {"AZUREML_GIT_REPOSITORY_URI": f"https://{TOKEN}@host.example/r.git"}

    assert preflight.clean_addresses(repository, variables) == {
        "AZUREML_GIT_REPOSITORY_URI": "https://host.example/r.git"
    }


def test_azureml_stores_nothing_where_nothing_of_an_address_is_left(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_remote(repository, f"https://{TOKEN}@host.example/r.git")
    variables = {"AZUREML_GIT_REPOSITORY_URI": f"{TOKEN}@"}

    cleaned = preflight.clean_addresses(repository, git_environment(repository) | variables)

    assert cleaned == {"AZUREML_GIT_REPOSITORY_URI": " "}
    assert "azureml.git.repository_uri" not in recorded_by_azureml(repository, monkeypatch, cleaned)


@pytest.mark.parametrize("address", [None, "https://github.com/o/r.git", "git@github.com:o/r.git"])
def test_a_clean_address_needs_nothing(repository: Path, address: str | None) -> None:
    if address:
        set_remote(repository, address)

    assert preflight.clean_addresses(repository, git_environment(repository)) == {}
    assert preflight.check_addresses(repository, git_environment(repository)) == []


def test_a_folder_that_is_no_repository_has_no_address(project: Path) -> None:
    variables = git_environment(project) | {"GIT_CEILING_DIRECTORIES": str(project.parent)}

    assert preflight.clean_addresses(project, variables) == {}


# --- values ---


@pytest.mark.parametrize("value", ["16g", "512m", "8G", "64k"])
def test_sizes_of_shared_memory_have_a_unit(value: str) -> None:
    assert preflight.check_shm_size(value) == []


@pytest.mark.parametrize("value", [16, "16", "16gb", "0g", "g", "1.5g", "-1g", "", None])
def test_other_sizes_of_shared_memory_are_errors(value: object) -> None:
    assert [f.text for f in preflight.check_shm_size(value)] == [
        f"--shm_size {value!r}: expected a number with its unit, k, m or g, such as '16g'"
    ]


@pytest.mark.parametrize(
    ("name", "fits"),
    [("cifar-10_a", True), ("a" * 255, True)] + [(n, False) for n in ("", "-a", "a b", "a" * 256, "é1", "a\n", "a/b")],
)
def test_names_of_experiments(name: str, fits: bool) -> None:
    assert (preflight.check_experiment_name(name) == []) is fits


@pytest.mark.parametrize(
    ("name", "fits"),
    [("gpu-cluster", True), ("cpu1", True), ("gpu_cluster", False), ("a" * 33, False), ("", False), ("a b", False)],
)
def test_names_of_computes(name: str, fits: bool) -> None:
    assert (preflight.check_compute_name(name) == []) is fits


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        ("mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04:20240709.v1", []),
        ("pytorch/pytorch:2.4.0-cuda12.1-cudnn9-runtime", []),
        ("host.example:5000/a/b@sha256:" + "a1" * 32, []),
        ("ubuntu", ["warning"]),
        ("pytorch/pytorch:latest", ["warning"]),
        ("https://host.example/a:1", ["error"]),
        ("Upper/Case:1", ["error"]),
        ("a b:1", ["error"]),
        ("a:", ["error"]),
        ("a@sha256:xyz", ["error"]),
        ("", ["error"]),
    ],
)
def test_references_of_images(image: str, levels: list[str]) -> None:
    assert [finding.level for finding in preflight.check_image(image)] == levels


@pytest.mark.parametrize(
    ("name", "value", "level", "told"),
    [
        ("FOO", "bar", None, ""),
        ("FOO=", "bar", "error", "expected a name"),
        ("FOO BAR", "x", "error", "expected a name"),
        ("1A", "x", "error", "expected a name"),
        ("", "x", "error", "expected a name"),
        ("FOO", 1, "error", "expected a text, found int"),
        ("FOO", None, "error", "expected a text, found NoneType"),
        ("FOO", "", "warning", "the value is empty"),
        ("FOO", "a\nb", "error", "one line"),
        ("NODE_RANK", "0", "error", "Azure ML sets this variable"),
        ("AZUREML_RUN_ID", "x", "error", "Azure ML sets this variable"),
        ("WANDB_API_KEY", "hidden-value", "warning", "looks like a secret"),
        ("AZURE_CLIENT_SECRET", "hidden-value", "warning", "looks like a secret"),
        ("REMOTE", SECRETS["an address with a password"], "warning", "looks like an address with a password"),
        ("TOKENIZERS_PARALLELISM", "false", None, ""),
    ],
)
def test_environment_variables(name: str, value: object, level: str | None, told: str) -> None:
    findings = preflight.check_variables({name: value})

    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(told in finding.text for finding in findings)
    assert all("hidden" not in finding.text and "a1B2" not in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("entry", "level"),
    [
        ("python=3.11", None),
        ("python==3.12.4", None),
        ("python=3.8.13", "error"),
        ("python=3.13", "error"),
        ("python=2.7", "error"),
        ("python>=3.11", "warning"),
        ("python", "error"),
        ("python 3.11", "error"),
        ("python==3.11.*", "error"),
        ("Python=3.11", "error"),
        ("conda-forge::python=3.11", "error"),
        ("python-dateutil=2.9", "error"),
    ],
)
def test_the_python_of_a_conda_file(tmp_path: Path, entry: str, level: str | None) -> None:
    path = tmp_path / "conda.yml"
    path.write_text(f"name: e\ndependencies:\n- '{entry}'\n- pip\n- pip:\n  - torch\n")

    findings = preflight.check_conda_file(path)
    taken = Environment.from_conda_specification("e", str(path)).python.conda_dependencies.conda_packages

    assert [finding.level for finding in findings] == ([level] if level else [])
    assert level == "error" or entry in taken  # azureml-core takes it as it stands
    assert all(repr(entry) in finding.text or "names no Python" in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "can't be read"),
        ("a: [", "isn't YAML (line "),
        ("- a\n", "has no list"),
        ("dependencies: x\n", "has no list"),
    ],
)
def test_a_conda_file_that_is_none(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "conda.yml"
    if content is not None:
        path.write_text(content)

    (finding,) = preflight.check_conda_file(path)

    assert finding.level == "error"
    assert told in finding.text


@pytest.mark.parametrize(
    ("size", "instead"),
    [
        ("Standard_NC6", "Standard_NC4as_T4_v3"),
        ("STANDARD_NC6", "Standard_NC4as_T4_v3"),
        ("Standard_NC24r_Promo", "Standard_NC64as_T4_v3"),
        ("Standard_NC6s_v2", "Standard_NC24ads_A100_v4"),
        ("Standard_NC12s_v3", "Standard_NC48ads_A100_v4"),
        ("Standard_ND24rs", "Standard_ND96amsr_A100_v4"),
        ("Standard_ND6", "Standard_NC4as_T4_v3"),
        ("Standard_NV6", "Standard_NV36ads_A10_v5"),
        ("Standard_NC4as_T4_v3", None),
        ("Standard_NC24ads_A100_v4", None),
        ("Standard_ND40rs_v2", None),
        ("Standard_DS3_v2", None),
    ],
)
def test_retired_sizes_have_a_successor_that_is_not_retired(size: str, instead: str | None) -> None:
    assert preflight.successor(size) == instead
    assert [finding.text for finding in preflight.check_vm_size(size)] == (
        [f"--vm_size {size!r}: Azure has retired this size; take {instead!r}"] if instead else []
    )
    assert instead is None or preflight.check_vm_size(instead) == []


@pytest.mark.parametrize("size", ["", "NC6x", "Standard NC6s", "gpu"])
def test_what_is_no_name_of_a_size_is_an_error(size: str) -> None:
    assert "expected the name of a size" in preflight.check_vm_size(size)[0].text


# --- the package ---


def test_a_finding_is_one_line() -> None:
    with pytest.raises(ValueError, match="one line"):
        Finding("error", "two\nlines")


def test_odd_names_of_files_still_make_one_line(project: Path) -> None:
    write(project, "new\nline.pem", "ünï \u2028.ckpt")

    assert len(check_folder(project)) == 2


def test_preflight_loads_neither_torch_nor_azureml_core(project: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from submit import preflight; "
        f"preflight.check_folder(Path({str(project)!r})); "
        "print([name for name in ('torch', 'azureml.core', 'requests', 'msrest') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert (done.stdout, done.stderr) == ("[]\n", "")
