"""Preparation runs once a node, and nobody reads what isn't finished, whatever happens to whom."""

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

# What the processes of a node do with their data, as lines of a file on the node's own disk.
_NOTED = """
import os, time
from pathlib import Path

from torchvision.datasets import CIFAR10

import datamodules
from datamodules import generated

generated.TRAIN_COUNT, generated.TEST_COUNT = 100, 20  # so that it takes no time but that below
_write = generated._write_cifar10


def note(event):
    with Path(os.environ["TMPDIR"], "noted").open("a") as file:
        file.write(event + "\\n")


def write(folder):
    note("generates")
    _write(folder)
    if os.environ.get("HALF"):
        (folder / "cifar-10-batches-py" / "data_batch_3").unlink()
        note("half")
        time.sleep(600)


generated._write_cifar10 = write
if "ARCHIVE" in os.environ:
    CIFAR10.url, CIFAR10.tgz_md5, CIFAR10.meta["md5"] = os.environ["ARCHIVE"], None, None
    CIFAR10._check_integrity = lambda self: Path(self.root, self.base_folder).is_dir()


class Noted(datamodules.CIFAR10DataModule):
    def prepare_data(self):
        note("begins")
        time.sleep(float(os.environ.get("SECONDS", "0")))
        super().prepare_data()
        note("ends")

    def setup(self, stage):
        note("setup")
        super().setup(stage)
"""


@pytest.fixture
def variables(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "noted.py").write_text(_NOTED)
    return {"PYTHONPATH": f"{ROOT}:{tmp_path}", "OMP_NUM_THREADS": "1"}


def fit(cluster: Cluster, processes: int, variables: Mapping[str, str], *further: str) -> None:
    shape = "pytorch_for_devices" if len(cluster.nodes) > 1 else "none"
    flags = ["--data", "noted.Noted", "--num_epochs", "1", "--batch_size", "10", *further]
    clusters.finish(clusters.start(shape, cluster, processes, flags, variables))


def noted(node: Node) -> list[str]:
    path = node.cluster.root / f"tmp-{node.name}" / "noted"
    return path.read_text().splitlines() if path.exists() else []


def caches(node: Node) -> list[str]:
    folder = node.cluster.root / f"tmp-{node.name}" / f"lightning-azureml-{os.getuid()}"
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def wait_until_half(node: Node) -> None:
    deadline = time.monotonic() + 240
    while "half" not in noted(node):
        assert time.monotonic() < deadline, "it hasn't begun to generate"
        time.sleep(0.05)


def kill_all(node: Node) -> None:
    while pids := node.pids():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def assert_prepared_once(node: Node, processes: int) -> None:
    """For the training and for the test after it; all but one process wait until it has finished."""
    stage = ["begins", "ends", *["setup"] * processes]
    assert noted(node) == ["begins", "generates", *stage[1:], *stage]
    assert caches(node) == ["generated-cifar10-2"]


@pytest.mark.namespaces
def test_a_preparation_that_was_killed_leaves_no_half_and_is_done_again(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    with Cluster(tmp_path / "cluster", nodes=1) as cluster:
        node = cluster.nodes[0]
        flags = ["--data", "noted.Noted", "--num_epochs", "1"]
        clusters.start("none", cluster, 2, flags, {**variables, "HALF": "1"})
        wait_until_half(node)
        kill_all(node)
        assert noted(node) == ["begins", "generates", "half"]  # the other process has read nothing
        assert [name for name in caches(node) if not name.startswith(".")] == []
        (cluster.root / f"tmp-{node.name}" / "noted").unlink()

        fit(cluster, 2, variables)

    assert_prepared_once(node, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", ["5", "75"])  # a time limit of a minute would be seen
@pytest.mark.namespaces
def test_each_node_prepares_once_and_nobody_reads_before(
    seconds: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        fit(cluster, 2, {**variables, "SECONDS": seconds})

    for node in cluster.nodes:
        assert_prepared_once(node, 2)
    rows = list(read_journal(cluster.nodes[0].folder / "outputs" / "metrics.jsonl"))
    assert [list(row["metrics"]) for row in rows] == [["train_loss", "train_accuracy"], ["test_loss", "test_accuracy"]]


class Archive:
    """CIFAR-10's archive on a server; the first ``broken_off`` answers stop in the middle and never go on."""

    def __init__(self, content: bytes) -> None:
        self.content, self.broken_off, self.answers = content, 0, 0
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
                if self.headers["Method"] == "HEAD":  # torchvision looks where it is led, and reads nothing
                    return
                archive.answers += 1
                if archive.answers <= archive.broken_off:
                    self.wfile.write(archive.content[: len(archive.content) // 2])
                    self.wfile.flush()
                    archive.half_sent.set()
                    time.sleep(240)
                with contextlib.suppress(OSError):  # whom it answers may have been killed
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
def test_a_mount_that_nodes_share_is_downloaded_to_whole_whoever_is_first(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(make_cifar10(tmp_path / "origin", 20) / cifar10_files.FOLDER, cifar10_files.FOLDER)
    archive, shared = Archive(packed.getvalue()), tmp_path / "shared"
    flags = ["--data_path", str(shared), "--download"]
    with Cluster(tmp_path / "cluster", nodes=2) as cluster, served(archive, cluster.nodes[0]) as url:
        archive.broken_off = 2
        everything = {**variables, "ARCHIVE": url}
        clusters.start("pytorch_for_devices", cluster, 2, ["--data", "noted.Noted", *flags], everything)
        assert archive.half_sent.wait(240)
        for node in cluster.nodes:
            kill_all(node)
        assert [path.name for path in shared.iterdir() if not path.name.startswith(".")] == []
        broken = archive.answers
        archive.broken_off = broken

        fit(cluster, 2, everything, *flags)

        assert archive.answers - broken in (1, 2)  # at most once a node, and none where another was there first
    assert [path.name for path in shared.iterdir()] == [cifar10_files.FOLDER]
    names = [*cifar10_files.TRAIN_FILES, cifar10_files.TEST_FILE, cifar10_files.META_FILE]
    for name in names:
        there, origin = (root / cifar10_files.FOLDER / name for root in (shared, tmp_path / "origin"))
        assert hashlib.sha256(there.read_bytes()).digest() == hashlib.sha256(origin.read_bytes()).digest()


class FakeTrainer:
    world_size = 4


@pytest.mark.parametrize(("count", "told"), [(1, "1 image for validation"), (3, "3 images for validation")])
def test_each_process_needs_an_image(count: int, told: str) -> None:
    with pytest.raises(DataError, match=f"^{told} and 4 processes, of which each needs one: give more"):
        require_shares(FakeTrainer(), {"training": 40, "validation": count})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.namespaces
def test_nodes_with_different_data_are_told(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        for node, count in zip(cluster.nodes, (10, 11), strict=True):
            make_cifar10(node.folder / "cifar", count)
        started = clusters.start("pytorch_for_devices", cluster, 1, ["--data_path", "cifar"], {"OMP_NUM_THREADS": "1"})
        ends = [process.finish() for process in started]

    assert [end.status for end in ends] == [2, 2]
    assert "rank 0 finds 50 images for training, rank 1 finds 55; all nodes need the same data" in ends[0].err
    assert not (cluster.nodes[0].folder / "outputs").exists()
