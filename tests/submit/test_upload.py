"""``python -m submit upload`` against the loopback service: real files, real processes."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from submit.describe import parse_dataset
from submit.emulator import Fault
from submit.job import DatastorePath
from submit.upload.container import Blob
from submit.upload.folder import LocalFile
from submit.upload.target import dataset_value
from submit.upload.upload import compare
from tests.support.commands import environment
from tests.support.projects import write_files
from tests.support.submitters import Submitter
from tests.support.uploads import below, counts, many, uploads

pytestmark = pytest.mark.slow

FILES = {
    "train/a b/ü%#?&+.bin": bytes(range(256)),
    "train/deep/er/x.txt": b"x\r\n",
    "val/y.txt": b"y" * 1000,
    "empty.txt": b"",
}


def test_a_folder_is_sent_once_and_found_by_its_dataset_value(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", FILES)
    before = sorted(submitter.folder.glob("*"))

    first = submitter.submit("upload", "--src", "data", "--target", "data/birds/")
    sent = len(uploads(submitter.service))
    second = submitter.submit("upload", "--src", "data", "--target", "data/birds", "--datastore", "workspaceblobstore")

    assert (first.status, second.status) == (0, 0), (first, second)
    assert first.out == ("Sent 4 files (1.3 kB); skipped 0 files (0 B), which existed already.\n--dataset data/birds\n")
    assert second.out == (
        "Sent 0 files (0 B); skipped 4 files (1.3 kB), which existed already.\n--dataset data/birds\n"
    )
    assert first.err == "Sending 4 files (1.3 kB) to data/birds\n"
    assert submitter.service.datastore == below("data/birds", FILES)
    assert sent == len(uploads(submitter.service)) == 4
    assert sorted(path for path in submitter.folder.glob("*") if path.name != "home") == before


@pytest.mark.parametrize("target", ["data/birds", "birds", "a/b c/d"])
def test_the_dataset_value_names_the_folder_to_run(target: str) -> None:
    default = parse_dataset(dataset_value("workspaceblobstore", target), "mount")
    named = parse_dataset(dataset_value("photos", target), "mount")

    assert default == DatastorePath(None, target, "mount")
    assert named == DatastorePath("photos", target, "mount")


def test_other_content_is_replaced_only_if_that_is_asked_for(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", {"a": b"same size 1", "b": b"other size", "c": b"same"})
    for name, content in {"a": b"same size 2", "b": b"older", "c": b"same", "old/d": b"older"}.items():
        submitter.service.add_datastore_file(f"birds/{name}", content)
    before = submitter.service.datastore

    refused = submitter.submit("upload", "--src", "data", "--target", "birds")
    untouched = submitter.service.datastore
    done = submitter.submit("upload", "--src", "data", "--target", "birds", "--overwrite")

    assert (refused.status, refused.out) == (2, "")
    assert refused.err.splitlines()[-2:] == [
        "warning: birds has 1 other files, which the training will find, too: 'old/d'",
        "error: --target 'birds': has other content for 'a', 'b'; give --overwrite to replace it, or another --target",
    ]
    assert untouched == before
    assert (done.status, counts(done)) == (0, (2, 1)), done
    assert done.out.endswith("\n--dataset birds/\n")
    assert submitter.service.datastore["birds/a"] == b"same size 1"
    assert submitter.service.datastore["birds/b"] == b"other size"


def test_without_an_md5_there_the_size_decides(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b"12", "b": b"12", "c": b"12"})
    files = [LocalFile(tmp_path / name, name, 2) for name in "abc"]
    read: list[LocalFile] = []

    found = compare(files, {"a": Blob(2, None), "b": Blob(3, None), "c": Blob(2, bytes(16))}, read.append)

    assert (found.same, found.different, found.missing) == (files[:1], files[1:], [])
    assert found.unhashed == files[:1]
    assert read == files[2:]


def test_files_that_are_compared_by_size_only_are_named(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", {"a": b"12", "b": b"12"})
    submitter.service.add_datastore_file("birds/a", b"21", md5=None)
    submitter.service.add_datastore_file("birds/b", b"12")

    outcome = submitter.submit("upload", "--src", "data", "--target", "birds")

    assert outcome.status == 0, outcome.err
    assert outcome.err.splitlines()[0] == (
        "warning: birds has no MD5 of 1 files, which are compared by size only and taken for the same: 'a'"
    )


def test_folders_that_an_account_lists_are_not_files_of_others(tmp_path: Path) -> None:
    write_files(tmp_path, {"train/a": b"1"})

    found = compare(
        [LocalFile(tmp_path / "train/a", "train/a", 1)], {"train": Blob(0, None), "b": Blob(0, None)}, lambda file: None
    )

    assert found.others == ["b"]


def test_links_and_empty_folders_are_reported_and_links_to_files_followed(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", {"a.txt": b"a"})
    (submitter.folder / "data/link.txt").symlink_to("a.txt")
    (submitter.folder / "data/train/none").mkdir(parents=True)

    outcome = submitter.submit("upload", "--src", "data", "--target", "data/birds")

    assert outcome.status == 0
    assert outcome.err.splitlines()[:2] == [
        "warning: 'link.txt': symbolic link; its target is sent instead",
        "warning: 'train/none/': empty folder; it isn't sent, because a blob container has no folders",
    ]
    assert submitter.service.datastore == below("data/birds", {"a.txt": b"a", "link.txt": b"a"})


def test_in_a_terminal_a_progress_bar_is_drawn_and_removed(submitter: Submitter) -> None:
    write_files(submitter.folder / "data", many(40))
    submitter.service.inject(Fault.slow(0.2, path="/data/"))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # rows, columns and no pixels
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(terminal, 4096))
            except OSError:  # the other end is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    process = submitter.start("upload", "--src", "data", "--target", "data/birds", stderr=end)
    os.close(end)
    out, _ = process.communicate(timeout=60)
    reader.join(10)
    os.close(terminal)

    text = b"".join(shown).decode()
    assert (process.returncode, out.count("\n")) == (0, 2)
    assert re.match(r"Azure ML SDK v1 \(azureml-core .*\): ", text)
    assert re.search(r"\r\d+ of 40 files: +\d+%\|", text)
    assert text.endswith("\r")


@pytest.mark.parametrize("command", ["upload", "compute"])
def test_help_is_shown_without_azureml(command: str) -> None:
    program = (
        "import sys\nfrom submit.main import main\n"
        f"try:\n    main(['{command}', '--help'])\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in sys.modules if name.partition('.')[0] in ('azureml', 'azure', 'torch')])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())

    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert "example:\n  python -m submit" in done.stdout
