"""``python -m submit upload`` of what can't be sent, or to where nothing can be."""

import os

import pytest

from submit.v1.datastore import require_blobs
from tests.support.commands import without_privileges
from tests.support.projects import write_files
from tests.support.submitters import Submitter

pytestmark = pytest.mark.slow


def test_what_cannot_be_sent_is_reported_before_anything_is(submitter: Submitter) -> None:
    data = submitter.folder / "data"
    write_files(data, {"a.txt": b"a", "locked.txt": b"", "train/ends.": b"", "new\nline": b"", "closed/b.txt": b""})
    (data / "broken").symlink_to("nowhere")
    (data / "folder").symlink_to("train")
    os.mkfifo(data / "pipe")
    (data / "locked.txt").chmod(0)
    (data / "closed").chmod(0)

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds", prefix=without_privileges())

    (data / "closed").chmod(0o755)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    for part in (
        "error: --src 'data': 'closed/', 'locked.txt': can't be read; allow it; ",
        "'broken': is a broken symbolic link; repair or remove it; ",
        "'folder': is a symbolic link to a folder, which isn't followed; replace it by the folder; ",
        "'pipe': is neither a file nor a folder; remove it; ",
        "'new\\nline', 'train/ends.': can't be the name of a blob, which has 1024 characters at most",
    ):
        assert part in outcome.err
    assert submitter.service.requests == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--src nowhere --target data/birds", "--src 'nowhere': no such folder; give a folder"),
        ("--src config.json --target data/birds", "--src 'config.json': not a folder; give a folder"),
        ("--src empty --target data/birds", "--src 'empty': it has no file; expected at least one"),
        ("--src data --target /data", "--target '/data': expected a folder of the datastore, such as data/cifar10"),
        ("--src data --target a/../b", "--target 'a/../b': expected a folder of the datastore"),
        ("--src data --target azureml://a/b", "--target 'azureml://a/b': expected a folder of the datastore"),
        ("--src data", "the following arguments are required: --target"),
        ("--src data --target a --datastor b", "--datastor: upload has no such flag"),
        ("--src data --target a --workspace no.json", "--workspace 'no.json': no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_asked(submitter: Submitter, flags: str, message: str) -> None:
    write_files(submitter.folder, {"data/a.txt": b"a"})
    (submitter.folder / "empty").mkdir()

    outcome = submitter.submit("upload", *flags.split())

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert submitter.service.requests == []


def test_an_unknown_datastore_is_reported_with_those_there_are(submitter: Submitter) -> None:
    write_files(submitter.folder, {"data/a.txt": b"a"})

    outcome = submitter.submit("upload", "--src", "data", "--target", "a", "--datastore", "photos")

    assert outcome.status == 2
    assert outcome.err == (
        "error: --datastore 'photos': the workspace has no such datastore; it has 'workspaceblobstore'\n"
    )


def test_datastores_that_azureml_core_cannot_fill_are_reported() -> None:
    from azureml.data.azure_storage_datastore import AzureBlobDatastore, AzureFileDatastore

    from submit.errors import SubmitError

    shared = AzureFileDatastore(None, "files", "share", "account", account_key="null")
    keyless = AzureBlobDatastore(None, "blobs", "container", "account", endpoint="core.windows.net")

    with pytest.raises(SubmitError, match=r"'files': has the type AzureFile; expected a blob container"):
        require_blobs(shared)
    with pytest.raises(SubmitError, match=r"neither a key nor a SAS token.*'container' of account 'account'"):
        require_blobs(keyless)
