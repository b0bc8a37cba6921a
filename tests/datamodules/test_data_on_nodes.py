"""Data is prepared once per node, and no process reads data that isn't complete, even if processes are killed."""

import contextlib
import hashlib
import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datamodules import DataError, cifar10_files
from datamodules.validation import require_shares
from lightning_app.azureml.journal import read_journal
from tests.support import clusters
from tests.support.commands import ROOT
from tests.support.images import make_cifar10
from tests.support.namespaces import Cluster, Node

# A datamodule that writes what it does to a file on the node's own disk, one event per line.
_EVENT_DATA = """
import os, time
from pathlib import Path

from torchvision.datasets import CIFAR10

import datamodules
from datamodules import generated

generated.TRAIN_COUNT, generated.TEST_COUNT = 100, 20  # to take no more time than the sleep below
_write = generated._write_cifar10


def write_event(event):
    with Path(os.environ["TMPDIR"], "events").open("a") as file:
        file.write(event + "\\n")


def generate(folder):
    write_event("generates")
    _write(folder)
    if os.environ.get("STOP_HALFWAY"):
        (folder / "cifar-10-batches-py" / "data_batch_3").unlink()
        write_event("halfway")
        time.sleep(600)


generated._write_cifar10 = generate
if "ARCHIVE" in os.environ:
    CIFAR10.url, CIFAR10.tgz_md5, CIFAR10.meta["md5"] = os.environ["ARCHIVE"], None, None
    CIFAR10._check_integrity = lambda self: Path(self.root, self.base_folder).is_dir()


class EventData(datamodules.CIFAR10DataModule):
    def prepare_data(self):
        write_event("begins")
        time.sleep(float(os.environ.get("SECONDS", "0")))
        super().prepare_data()
        write_event("ends")

    def setup(self, stage):
        write_event("setup")
        super().setup(stage)
"""


@pytest.fixture
def variables(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "event_data.py").write_text(_EVENT_DATA)
    return {"PYTHONPATH": f"{ROOT}:{tmp_path}", "OMP_NUM_THREADS": "1"}


def fit(cluster: Cluster, processes: int, variables: Mapping[str, str], *further: str) -> None:
    shape = "pytorch_for_devices" if len(cluster.nodes) > 1 else "none"
    flags = ["--data", "event_data.EventData", "--num_epochs", "1", "--batch_size", "10", *further]
    clusters.finish(clusters.start(shape, cluster, processes, flags, variables))


def events(node: Node) -> list[str]:
    path = node.cluster.root / f"tmp-{node.name}" / "events"
    return path.read_text().splitlines() if path.exists() else []


def caches(node: Node) -> list[str]:
    folder = node.cluster.root / f"tmp-{node.name}" / f"lightning-azureml-{os.getuid()}"
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def wait_until_halfway(node: Node) -> None:
    deadline = time.monotonic() + 240
    while "halfway" not in events(node):
        assert time.monotonic() < deadline, "generating hasn't started"
        time.sleep(0.05)


def kill_all(node: Node) -> None:
    while pids := node.pids():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def assert_prepared_once(node: Node, processes: int) -> None:
    """For the training and for the test after it; one process prepares, the others wait until it has finished."""
    stage = ["begins", "ends", *["setup"] * processes]
    assert events(node) == ["begins", "generates", *stage[1:], *stage]
    assert caches(node) == ["generated-cifar10-2"]


@pytest.mark.namespaces
def test_a_killed_preparation_leaves_no_incomplete_folder_and_is_repeated(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    with Cluster(tmp_path / "cluster", nodes=1) as cluster:
        node = cluster.nodes[0]
        flags = ["--data", "event_data.EventData", "--num_epochs", "1"]
        clusters.start("none", cluster, 2, flags, {**variables, "STOP_HALFWAY": "1"})
        wait_until_halfway(node)
        kill_all(node)
        assert events(node) == ["begins", "generates", "halfway"]  # the other process hasn't read anything
        assert [name for name in caches(node) if not name.startswith(".")] == []
        (cluster.root / f"tmp-{node.name}" / "events").unlink()

        fit(cluster, 2, variables)

    assert_prepared_once(node, 2)


@pytest.mark.slow
@pytest.mark.namespaces
@pytest.mark.parametrize("seconds", ["5", "75"])  # longer than a time limit of one minute
def test_each_node_prepares_once_before_any_process_reads(
    seconds: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        fit(cluster, 2, {**variables, "SECONDS": seconds})

    for node in cluster.nodes:
        assert_prepared_once(node, 2)
    rows = list(read_journal(cluster.nodes[0].folder / "outputs" / "metrics.jsonl"))
    assert [list(row["metrics"])[:3] for row in rows] == [
        ["train_loss", "train_accuracy", "learning_rate"],
        ["test_loss", "test_accuracy", "test_macro_f1"],
    ]


class Archive:
    """CIFAR-10's archive on a server; the first ``incomplete`` responses stop halfway until the test ends."""

    def __init__(self, content: bytes) -> None:
        self.content, self.incomplete, self.responses = content, 0, 0
        self.half_sent = threading.Event()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(archive.content)))
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                if self.headers["Method"] == "HEAD":  # torchvision follows redirections this way, and reads no content
                    return
                archive.responses += 1
                if archive.responses <= archive.incomplete:
                    self.wfile.write(archive.content[: len(archive.content) // 2])
                    self.wfile.flush()
                    archive.half_sent.set()
                    time.sleep(240)
                with contextlib.suppress(OSError):  # the client may have been killed
                    self.wfile.write(archive.content)

            def log_message(self, *_: object) -> None: ...

        return Handler


@contextlib.contextmanager
def served(archive: Archive, node: Node) -> Iterator[str]:
    with node.network():
        server = ThreadingHTTPServer((node.address, 0), archive.handler())
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{node.address}:{server.server_port}/cifar-10-python.tar.gz"
    server.shutdown()
    server.socket.close()


@pytest.mark.slow
@pytest.mark.namespaces
def test_a_download_to_a_shared_mount_is_complete_whichever_node_is_first(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(make_cifar10(tmp_path / "origin", 20) / cifar10_files.FOLDER, cifar10_files.FOLDER)
    archive, shared = Archive(packed.getvalue()), tmp_path / "shared"
    flags = ["--data_path", str(shared), "--download"]
    with Cluster(tmp_path / "cluster", nodes=2) as cluster, served(archive, cluster.nodes[0]) as url:
        archive.incomplete = 2
        all_variables = {**variables, "ARCHIVE": url}
        clusters.start("pytorch_for_devices", cluster, 2, ["--data", "event_data.EventData", *flags], all_variables)
        assert archive.half_sent.wait(240)
        for node in cluster.nodes:
            kill_all(node)
        assert [path.name for path in shared.iterdir() if not path.name.startswith(".")] == []
        before = archive.responses
        archive.incomplete = before

        fit(cluster, 2, all_variables, *flags)

        assert archive.responses - before in (1, 2)  # each node at most once; not at all if the other node was first
    assert [path.name for path in shared.iterdir()] == [cifar10_files.FOLDER]
    names = [*cifar10_files.TRAIN_FILES, cifar10_files.TEST_FILE, cifar10_files.META_FILE]
    for name in names:
        downloaded, origin = (root / cifar10_files.FOLDER / name for root in (shared, tmp_path / "origin"))
        assert hashlib.sha256(downloaded.read_bytes()).digest() == hashlib.sha256(origin.read_bytes()).digest()


class FakeTrainer:
    world_size = 4


@pytest.mark.parametrize(("count", "message"), [(1, "1 image for validation"), (3, "3 images for validation")])
def test_each_process_needs_an_image(count: int, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message} and 4 processes, but each process needs one: give more"):
        require_shares(FakeTrainer(), {"training": 40, "validation": count})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.namespaces
def test_nodes_with_different_data_are_an_error(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        for node, count in zip(cluster.nodes, (10, 11), strict=True):
            make_cifar10(node.folder / "cifar", count)
        started = clusters.start("pytorch_for_devices", cluster, 1, ["--data_path", "cifar"], {"OMP_NUM_THREADS": "1"})
        ends = [process.finish() for process in started]

    assert [end.status for end in ends] == [2, 2]
    assert "rank 0 finds 50 images for training, rank 1 finds 55; give all nodes the same data" in ends[0].err
    assert not (cluster.nodes[0].folder / "outputs").exists()
