"""``python -m submit upload`` against the loopback service: real files, real processes, real interruptions."""

import hashlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from submit.command_line import parse
from submit.describe import data_of
from submit.failures import FailureError, reason
from submit.job import DatastorePath
from submit.rehearsal import AzureMLService, Fault
from submit.rehearsal.workspace import DATASTORE_CONTAINER
from submit.upload.comparison import compare
from submit.upload.container import Blob, Container
from submit.upload.folder import LocalFile
from submit.upload.sending import BLOCK, send_file
from submit.upload.target import dataset_value, require_blobs
from tests.conftest import Outcome, environment
from tests.test_bad_input import without_privileges

pytestmark = pytest.mark.slow


FILES = {
    "train/a b/ü%#?&+.bin": bytes(range(256)),
    "train/deep/er/x.txt": b"x\r\n",
    "val/y.txt": b"y" * 1000,
    "empty.txt": b"",
}
LINE = re.compile(r"Sent ([\d,]+) files? \((.*)\); skipped ([\d,]+) files? \((.*)\), which were there already\.")


class Person:
    """Someone with a workspace's configuration and a folder; ``token`` is what nobody may read anywhere."""

    def __init__(self, service: AzureMLService, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.token = service.user_token()
        service.write_workspace_config(folder)

    def start(
        self,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "submit"),
        stderr: int = subprocess.PIPE,
    ) -> "subprocess.Popen[str]":
        variables = self.service.workspace_environment(self.folder / "home") | {"AZUREML_ACCESS_TOKEN": self.token}
        return subprocess.Popen(
            [*prefix, sys.executable, *program, *arguments],
            cwd=self.folder,
            env=environment() | variables,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # a shell starts its background jobs deaf to interrupts, and their children inherit it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Outcome:
        return self.end(self.start(*arguments, prefix=prefix))

    def end(self, process: "subprocess.Popen[str]") -> Outcome:
        out, err = process.communicate(timeout=60)
        assert self.token not in out + err
        assert "sig=" not in out + err
        assert "Traceback" not in err
        return Outcome(process.returncode, out, err)

    def interrupt(self, process: "subprocess.Popen[str]", when: Callable[[], bool]) -> Outcome:
        until(when)
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        outcome = self.end(process)
        assert time.monotonic() - pressed < 5
        return outcome


@pytest.fixture
def person(service: AzureMLService, tmp_path: Path) -> Person:
    return Person(service, tmp_path)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it didn't come to that"
        time.sleep(0.02)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def many(count: int) -> dict[str, bytes]:
    return {f"train/{number:03}.bin": hashlib.sha256(str(number).encode()).digest() for number in range(count)}


def counts(outcome: Outcome) -> tuple[int, int]:
    """Files sent, and files skipped."""
    found = LINE.match(outcome.out)
    assert found is not None, outcome
    return int(found[1]), int(found[3])


def uploads(service: AzureMLService) -> list[int]:
    """The sizes of what was put into the container and arrived."""
    return [r.size for r in service.requests if r.method == "PUT" and DATASTORE_CONTAINER in r.path and r.status == 201]


def test_a_folder_is_sent_once_and_found_by_its_dataset_value(person: Person) -> None:
    write_files(person.folder / "data", FILES)
    before = sorted(person.folder.glob("*"))

    first = person.run("upload", "--src", "data", "--target", "data/birds/")
    sent = len(uploads(person.service))
    second = person.run("upload", "--src", "data", "--target", "data/birds", "--datastore", "workspaceblobstore")

    assert (first.status, second.status) == (0, 0), (first, second)
    assert first.out == (
        "Sent 4 files (1.3 kB); skipped 0 files (0 B), which were there already.\n--dataset data/birds\n"
    )
    assert second.out == (
        "Sent 0 files (0 B); skipped 4 files (1.3 kB), which were there already.\n--dataset data/birds\n"
    )
    assert first.err == "Looking at what is in data/birds already\n"
    assert person.service.datastore == below("data/birds", FILES)
    assert sent == len(uploads(person.service)) == 4
    assert sorted(path for path in person.folder.glob("*") if path.name != "home") == before


@pytest.mark.parametrize("target", ["data/birds", "birds", "a/b c/d"])
def test_the_dataset_value_names_the_folder_to_run(target: str) -> None:
    _, options, _ = parse(["run", "--dataset", dataset_value("workspaceblobstore", target)])
    _, named, _ = parse(["run", "--dataset", dataset_value("photos", target)])

    assert data_of(options) == DatastorePath(None, target, "mount")
    assert data_of(named) == DatastorePath("photos", target, "mount")


def test_other_content_is_replaced_only_if_that_is_asked_for(person: Person) -> None:
    write_files(person.folder / "data", {"a": b"same size 1", "b": b"other size", "c": b"same"})
    for name, content in {"a": b"same size 2", "b": b"older", "c": b"same", "old/d": b"older"}.items():
        person.service.add_datastore_file(f"birds/{name}", content)
    before = person.service.datastore

    refused = person.run("upload", "--src", "data", "--target", "birds")
    untouched = person.service.datastore
    done = person.run("upload", "--src", "data", "--target", "birds", "--overwrite")

    assert (refused.status, refused.out) == (2, "")
    assert refused.err.splitlines()[-2:] == [
        "warning: birds has 1 more, which the training will find, too: 'old/d'",
        "error: --target 'birds': there with other content: 'a', 'b'; give --overwrite to replace that, or another "
        "--target",
    ]
    assert untouched == before
    assert (done.status, counts(done)) == (0, (2, 1)), done
    assert done.out.endswith("\n--dataset birds/\n")
    assert person.service.datastore["birds/a"] == b"same size 1"
    assert person.service.datastore["birds/b"] == b"other size"


def test_without_an_md5_there_the_size_decides(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b"12", "b": b"12", "c": b"12"})
    files = [LocalFile(tmp_path / name, name, 2) for name in "abc"]
    read: list[LocalFile] = []

    found = compare(files, {"a": Blob(2, None), "b": Blob(3, None), "c": Blob(2, bytes(16))}, read.append)

    assert (found.same, found.different, found.missing) == (files[:1], files[1:], [])
    assert read == files[2:]


def test_folders_that_an_account_lists_are_not_files_of_others(tmp_path: Path) -> None:
    write_files(tmp_path, {"train/a": b"1"})

    found = compare(
        [LocalFile(tmp_path / "train/a", "train/a", 1)], {"train": Blob(0, None), "b": Blob(0, None)}, lambda file: None
    )

    assert found.others == ["b"]


def test_an_interrupted_upload_goes_on(person: Person) -> None:
    files = many(60)
    write_files(person.folder / "data", files)
    person.service.order(Fault.slow(0.3, path="/data/"))
    command = ("upload", "--src", "data", "--target", "data/birds")

    first = person.interrupt(person.start(*command), lambda: len(person.service.datastore) > 8)
    person.service.clear_faults()
    arrived = len(person.service.datastore)
    second = person.run(*command)

    assert (first.status, first.out) == (130, "")
    assert first.err.splitlines()[-1] == (
        "interrupted; what has arrived stays there, and the same command goes on from it"
    )
    assert 8 < arrived < 60
    assert second.status == 0, second
    sent, skipped = counts(second)
    assert (sent + skipped, skipped >= arrived) == (60, True)
    assert person.service.datastore == below("data/birds", files)


def test_a_large_file_goes_on_within_itself(person: Person) -> None:
    content = os.urandom(4 * BLOCK + 1000)
    write_files(person.folder / "data", {"large.bin": content})
    person.service.order(Fault.slow(0.3, path="/data/"))
    command = ("upload", "--src", "data", "--target", "data/birds")

    first = person.interrupt(person.start(*command), lambda: len(uploads(person.service)) == 2)
    there = person.service.datastore
    person.service.clear_faults()
    second = person.run(*command)

    assert (first.status, there) == (130, {})
    assert second.status == 0, second
    assert 1 <= uploads(person.service)[2:].count(BLOCK) <= 2
    assert person.service.datastore == {"data/birds/large.bin": content}
    assert counts(person.run(*command)) == (0, 1)


def test_lost_connections_are_passed_over(person: Person) -> None:
    files = many(30) | {"large.bin": os.urandom(BLOCK + 1)}
    write_files(person.folder / "data", files)
    person.service.order(Fault.drop(f"/{DATASTORE_CONTAINER}", times=1))
    person.service.order(Fault.drop("/data/", times=8, handled=None))
    person.service.order(Fault.status(503, "/data/", times=3, retry_after=1))

    outcome = person.run("upload", "--src", "data", "--target", "data/birds")

    assert outcome.status == 0, outcome
    assert counts(outcome) == (31, 0)
    assert person.service.datastore == below("data/birds", files)


def test_a_large_file_is_whole_though_the_answer_to_its_last_request_is_lost(person: Person) -> None:
    content = os.urandom(BLOCK + 1)
    write_files(person.folder / "data", {"large.bin": content})
    person.service.order(Fault.drop("/large.bin", probability=0.5, seed=17, handled=True))  # strikes the fourth

    outcome = person.run("upload", "--src", "data", "--target", "data/birds")

    statuses = [request.status for request in person.service.requests if request.path.endswith("/large.bin")]
    assert outcome.status == 0, outcome
    assert statuses == [404, 201, 201, None, 201]
    assert person.service.datastore == {"data/birds/large.bin": content}


def test_a_service_that_comes_back_gets_the_rest(person: Person) -> None:
    files = many(60)
    write_files(person.folder / "data", files)
    person.service.order(Fault.slow(0.1, path="/data/"))
    process = person.start("upload", "--src", "data", "--target", "data/birds")
    until(lambda: len(person.service.datastore) > 8)

    person.service.stop()
    time.sleep(1.5)
    person.service.start()
    outcome = person.end(process)

    assert outcome.status == 0, outcome
    assert person.service.datastore == below("data/birds", files)


def test_a_service_that_is_gone_for_good_is_told(person: Person) -> None:
    write_files(person.folder / "data", many(60))
    person.service.order(Fault.slow(0.1, path="/data/"))
    impatient = (
        "import sys; from submit.upload import container; container.WAITS = (0.5, 1); "
        "from submit.main import main; sys.exit(main())"
    )
    process = person.start("upload", "--src", "data", "--target", "data/birds", program=("-c", impatient))
    until(lambda: len(person.service.datastore) > 8)

    person.service.stop()
    outcome = person.end(process)

    assert (outcome.status, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert re.fullmatch(
        r"error: 'train/\d+.bin' wasn't sent: no answer from rehearsal.blob.core.windows.net; the same command goes on "
        "when there is one",
        last,
    )


def test_what_the_account_refuses_is_told_at_once(person: Person) -> None:
    write_files(person.folder / "data", many(20))
    person.service.order(Fault.status(403, path="/data/"))

    outcome = person.run("upload", "--src", "data", "--target", "data/birds")

    assert (outcome.status, outcome.out) == (1, "")
    assert "wasn't sent: " in outcome.err.splitlines()[-1]
    assert "status 403 was ordered" in outcome.err.splitlines()[-1]
    assert person.service.datastore == {}


def test_links_and_empty_folders_are_told_and_links_to_files_followed(person: Person) -> None:
    write_files(person.folder / "data", {"a.txt": b"a"})
    (person.folder / "data/link.txt").symlink_to("a.txt")
    (person.folder / "data/train/none").mkdir(parents=True)

    outcome = person.run("upload", "--src", "data", "--target", "data/birds")

    assert outcome.status == 0
    assert outcome.err.splitlines()[:2] == [
        "warning: 'link.txt': symbolic link; the file that it leads to is sent in its place",
        "warning: 'train/none/': empty folder, which isn't sent, as a blob container has no folders",
    ]
    assert person.service.datastore == below("data/birds", {"a.txt": b"a", "link.txt": b"a"})


def test_what_cannot_be_sent_is_told_before_anything_is(person: Person) -> None:
    data = person.folder / "data"
    write_files(data, {"a.txt": b"a", "locked.txt": b"", "train/ends.": b"", "new\nline": b"", "closed/b.txt": b""})
    (data / "broken").symlink_to("nowhere")
    (data / "folder").symlink_to("train")
    os.mkfifo(data / "pipe")
    (data / "locked.txt").chmod(0)
    (data / "closed").chmod(0)

    outcome = person.run("upload", "--src", "data", "--target", "data/birds", prefix=without_privileges())

    (data / "closed").chmod(0o755)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    for told in (
        "error: --src 'data': 'closed/', 'locked.txt': can't be read; allow it; ",
        "'broken': is a symbolic link that leads nowhere; mend or remove it; ",
        "'folder': is a symbolic link to a folder, which isn't followed; put the folder in its place; ",
        "'pipe': is neither a file nor a folder; remove it; ",
        "'new\\nline', 'train/ends.': can't be the name of a blob, which has 1024 characters at most",
    ):
        assert told in outcome.err
    assert person.service.requests == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--src nowhere --target data/birds", "--src 'nowhere': no such folder; give a folder"),
        ("--src config.json --target data/birds", "--src 'config.json': is no folder; give a folder"),
        ("--src empty --target data/birds", "--src 'empty': there is no file in it; expected at least one"),
        ("--src data --target /data", "--target '/data': expected a folder of the datastore, such as data/cifar10"),
        ("--src data --target a/../b", "--target 'a/../b': expected a folder of the datastore"),
        ("--src data --target azureml://a/b", "--target 'azureml://a/b': expected a folder of the datastore"),
        ("--src data", "the following arguments are required: --target"),
        ("--src data --target a --datastor b", "--datastor: upload has no such flag"),
        ("--src data --target a --workspace no.json", "--workspace 'no.json': no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_asked(person: Person, flags: str, message: str) -> None:
    write_files(person.folder, {"data/a.txt": b"a"})
    (person.folder / "empty").mkdir()

    outcome = person.run("upload", *flags.split())

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert person.service.requests == []


def test_an_unknown_datastore_is_told_with_those_there_are(person: Person) -> None:
    write_files(person.folder, {"data/a.txt": b"a"})

    outcome = person.run("upload", "--src", "data", "--target", "a", "--datastore", "photos")

    assert outcome.status == 2
    assert outcome.err == (
        "error: --datastore 'photos': the workspace has none of this name; it has 'workspaceblobstore'\n"
    )


def test_datastores_that_azureml_core_cannot_fill_are_told() -> None:
    from azureml.data.azure_storage_datastore import AzureBlobDatastore, AzureFileDatastore

    from submit.errors import SubmitError

    shared = AzureFileDatastore(None, "files", "share", "account", account_key="null")
    keyless = AzureBlobDatastore(None, "blobs", "container", "account", endpoint="core.windows.net")

    with pytest.raises(SubmitError, match=r"'files': is of the type AzureFile; expected a blob container"):
        require_blobs(shared)
    with pytest.raises(SubmitError, match=r"neither a key nor a SAS token.*'container' of account 'account'"):
        require_blobs(keyless)


def test_in_a_terminal_one_line_is_redrawn_and_gone_at_the_end(person: Person) -> None:
    write_files(person.folder / "data", many(40))
    person.service.order(Fault.slow(0.2, path="/data/"))
    terminal, end = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(terminal, 4096))
            except OSError:  # the other end is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    process = person.start("upload", "--src", "data", "--target", "data/birds", stderr=end)
    os.close(end)
    out, _ = process.communicate(timeout=60)
    reader.join(10)
    os.close(terminal)

    text = b"".join(shown).decode()
    assert (process.returncode, out.count("\n")) == (0, 2)
    assert "\n" not in text
    assert re.search(r"\r\d+ of 40 files, \d+ B of 1\.3 kB, .*/s", text)
    assert text.endswith("\r\x1b[K")


def test_a_file_that_changes_while_it_is_sent_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"grown")

    with pytest.raises(FailureError, match="it had 3 bytes and has others now"):
        list(send_file(cast(Container, None), "data", LocalFile(tmp_path / "a", "a", 3)))


def test_reasons_are_one_line_without_signatures() -> None:
    lost = "HTTPSConnectionPool(host='a.blob.core.windows.net', port=443): Max retries exceeded with url: /c/b?sig=x"

    assert reason(OSError(lost)) == "no answer from a.blob.core.windows.net"
    assert reason(OSError("can't get https://a/b?sv=1&sig=secret\nmore")) == "can't get https://a/b"
    assert reason(ValueError()) == "ValueError"


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
