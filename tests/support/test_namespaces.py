"""The simulated cluster: nodes share nothing but a network, and nothing of them remains."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.namespaces import Cluster

pytestmark = pytest.mark.namespaces

LOOK = """
import os, pathlib, socket
names = [each.name for each in pathlib.Path(".").iterdir()]
print(os.getcwd(), names, socket.gethostname(), socket.gethostbyname(socket.gethostname()))
"""
LISTEN = """
import socket
with socket.create_server(("10.77.0.1", 6105)) as server:
    print("listening", flush=True)
    connection, (client, _) = server.accept()
    print("from", client, flush=True)
    while content := connection.recv(100):
        print(content.decode(), end="", flush=True)
"""
SEND = """
import socket, time
with socket.create_connection(("10.77.0.1", 6105)) as connection:
    for number in range(1000):
        connection.sendall(b"%d\\n" % number)
        print(number, flush=True)
        time.sleep(0.05)
"""
STAY = """
import subprocess, time
subprocess.Popen(["setsid", "sleep", "600"])
print("here", flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_each_node_has_its_own_address_host_name_and_disk(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=3) as cluster:
        for node in cluster.nodes:
            (node.folder / f"of_{node.name}").touch()

        outcomes = [node.start(python(LOOK)).finish() for node in cluster.nodes]

    disk = tmp_path / "cluster" / "disk"
    assert [(outcome.status, outcome.err) for outcome in outcomes] == [(0, "")] * 3
    assert [outcome.out for outcome in outcomes] == [
        f"{disk} ['of_node0'] node0 10.77.0.1\n",
        f"{disk} ['of_node1'] node1 10.77.0.2\n",
        f"{disk} ['of_node2'] node2 10.77.0.3\n",
    ]


def test_two_clusters_use_the_same_addresses_at_the_same_time(tmp_path: Path) -> None:
    with Cluster(tmp_path / "one", nodes=1) as one, Cluster(tmp_path / "two", nodes=1) as two:
        listening = [cluster.nodes[0].start(python(LISTEN)) for cluster in (one, two)]
        for process in listening:
            process.wait_for("listening")


def test_a_disconnected_node_receives_nothing_until_it_is_reconnected(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        server = cluster.nodes[0].start(python(LISTEN))
        server.wait_for("listening")
        client = cluster.nodes[1].start(python(SEND))
        server.wait_for("from 10.77.0.2\n0\n1\n")

        cluster.disconnect(1)
        time.sleep(1)  # packets on their way have arrived
        arrived, sent = server.out, client.out
        time.sleep(1)

        assert server.out == arrived
        assert len(client.out) > len(sent)  # the sender isn't notified
        cluster.reconnect(1)
        server.wait_for(f"\n{client.out.splitlines()[-1]}\n", seconds=10)


def test_exit_status_and_output_of_a_command_on_a_node(tmp_path: Path) -> None:
    code = (
        "import os, sys; print(os.environ['WORD']); print('oh', file=sys.stderr); sys.exit(int(os.environ['STATUS']))"
    )
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        one = cluster.nodes[0].start(python(code), {"WORD": "first", "STATUS": "0"})
        two = cluster.nodes[1].start(python(code), {"WORD": "second", "STATUS": "3"})
        outcomes = [process.finish() for process in (one, two)]

    assert [(outcome.status, outcome.out, outcome.err) for outcome in outcomes] == [
        (0, "first\n", "oh\n"),
        (3, "second\n", "oh\n"),
    ]


def test_no_process_and_no_namespace_remains_after_a_failed_test(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Cluster(tmp_path / "cluster", nodes=2) as cluster:  # noqa: PT012
        process = cluster.nodes[1].start(python(STAY))
        process.wait_for("here")
        assert len(cluster.nodes[1].pids()) == 2
        assert ["sleep 600" in line for line in cluster.remaining_processes(0)].count(True) == 1
        raise ZeroDivisionError

    assert processes_of(cluster.root) == []
    with Cluster(tmp_path / "another", nodes=1) as another:
        assert cluster.prefix not in another.namespaces()


KILLED = """
import os, pathlib, signal, sys
from tests.support.namespaces import Cluster
with Cluster(pathlib.Path(sys.argv[1]), nodes=1) as cluster:
    cluster.nodes[0].start(["sleep", "600"])
    print(cluster.prefix, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    command = [*python(KILLED), str(tmp_path / "killed")]
    prefix = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout.strip()

    with Cluster(tmp_path / "cluster", nodes=1) as cluster:
        names = cluster.namespaces()

    assert cluster.prefix in names
    assert prefix.startswith("tests-")
    assert prefix not in names
    assert processes_of(tmp_path / "killed") == []


def processes_of(root: Path) -> list[str]:
    """Processes that were started on a node of this cluster, even if they have left it."""
    variable = f"CLUSTER={root}".encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [str(file)] * (variable in file.read_bytes().split(b"\0"))
        except OSError:
            continue  # it has ended
    return found
