"""Simulates the nodes of a cluster: network namespaces of this machine, each with its address, host name and disk.

    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        process = cluster.nodes[1].start(["python", "-m", "lightning_app.fit"], {"MASTER_ADDR": cluster.address})
        process.wait_for("epoch=0")
        cluster.disconnect(1)
        print(process.finish().status)

The working folder has the same path on each node, ``cluster/disk``, but is another folder, ``Node.folder``: a node
can't see what another one writes. A cluster has its own network, so that all clusters can use the same addresses and
ports. When a cluster is closed, all processes on its nodes are killed.

This needs iproute2, and root or the right to create user namespaces. A test with the marker ``namespaces`` is skipped
where that isn't available.
"""

import contextlib
import ctypes
import functools
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.commands import environment
from tests.support.node_process import Process
from tests.support.programs import find_program

INTERFACE = "eth0"  # of each node
SKIPPED = "needs root and iproute2"
_SWITCH = "switch"
_CLONE_NEWNET = 0x40000000  # of Linux' sched.h

# Each node has its own host name, which resolves to its address on all nodes, as in Azure ML. gloo listens on that
# address, so GLOO_SOCKET_IFNAME isn't needed; the machine's own host name has an address that no node has.
# `ip netns exec` has created a mount namespace: no other node sees what is mounted here.
_ENTER = """\
#!/bin/sh
# enter NODE COMMAND...: runs the command on that node
export CLUSTER={root}
node=$1
shift
exec {inside} ip netns exec {prefix}-"$node" unshare --uts sh -ec '
hostname "$0"
mount --bind "$CLUSTER/hosts" /etc/hosts
mount --bind "$CLUSTER/$0" "$CLUSTER/disk"
cd "$CLUSTER/disk"
export TMPDIR="$CLUSTER/tmp-$0"
exec "$@"' "$node" "$@"
"""
# Used by mpirun instead of ssh. Like ssh, it passes no variables on.
_REMOTE_SHELL = """\
#!/bin/sh
# remote_shell NODE COMMAND, like ssh
node=$1
shift
exec env -i PATH="$PATH" HOME="$HOME" {root}/enter "$node" sh -c "$*"
"""
_USER_NAMESPACE = """\
exec unshare --user --map-root-user --net --mount sh -ec '
mount -t tmpfs none /run  # ip keeps its namespaces there
mkdir /run/netns
echo ready
exec sleep infinity'
"""
_ENTER_USER_NAMESPACE = ("nsenter", "--user", "--net", "--mount", "--preserve-credentials")


class NamespaceError(Exception):
    """A cluster can't be created or removed."""


@dataclass(frozen=True)
class Node:
    """A node of a cluster; ``name`` is its host name, and ``folder`` its disk."""

    cluster: "Cluster"
    number: int

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def address(self) -> str:
        return f"10.77.0.{self.number + 1}"

    @property
    def folder(self) -> Path:
        return self.cluster.root / self.name

    def start(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> Process:
        """Starts the command in the node's working folder, with these variables and those of the tests."""
        return self.cluster.start(self, command, variables or {})

    def pids(self) -> list[int]:
        """All processes on the node."""
        return self.cluster.pids(self.name)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """In this context, the sockets of this thread are in the node's network, so that a server can listen there."""
        if self.cluster.in_user_namespace:
            pytest.skip(SKIPPED)  # a user namespace isn't enough to enter the node's network from this process
        with Path("/proc/thread-self/ns/net").open() as own, self.cluster.namespace_file(self.name).open() as other:
            _set_network(other.fileno())
            try:
                yield
            finally:
                _set_network(own.fileno())


class Cluster:
    """Nodes that a switch connects, see above; ``root`` is an empty folder or doesn't exist."""

    def __init__(self, root: Path, nodes: int) -> None:
        self.root = root
        self.nodes = [Node(self, number) for number in range(nodes)]
        self.processes: list[Process] = []
        # several workers and runs of pytest may be on this machine
        self.prefix = f"tests-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._namespaces: list[str] = []
        self._user_namespace: subprocess.Popen[str] | None = None
        self._enter_user_namespace: list[str] = []

    @property
    def address(self) -> str:
        """Of the first node, where rank 0 listens."""
        return self.nodes[0].address

    @property
    def in_user_namespace(self) -> bool:
        return self._user_namespace is not None

    @property
    def remote_shell(self) -> Path:
        return self.root / "remote_shell"

    def __enter__(self) -> "Cluster":
        try:
            self._become_root()
            self._remove_leftovers()
            self._create_files()
            self._create_network()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, node: Node, command: Sequence[str], variables: Mapping[str, str]) -> Process:
        name = f"{node.name}-{len(self.processes)}"
        logs = self.root / "logs" / name
        with logs.with_suffix(".out").open("wb") as out, logs.with_suffix(".err").open("wb") as err:
            popen = subprocess.Popen(
                [str(self.root / "enter"), node.name, *command],
                env=environment() | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.processes.append(Process(name, popen, logs))
        return self.processes[-1]

    def disconnect(self, node: int = -1) -> None:
        """Disconnects a node, by default the last, at the switch: packets are lost, and no connection is closed."""
        self._set_link(node, "down")

    def reconnect(self, node: int = -1) -> None:
        self._set_link(node, "up")

    def pids(self, name: str) -> list[int]:
        return self._pids(self._namespace(name))

    def remaining_processes(self, seconds: float = 10) -> list[str]:
        """Command lines of processes that still run after this time; returns as soon as there are none."""
        deadline = time.monotonic() + seconds
        while (pids := [pid for node in self.nodes for pid in node.pids()]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [_command_line(pid) for pid in pids]

    def namespaces(self) -> str:
        """Lists all of this machine, including those of other clusters."""
        return self._ip("netns", "list")

    def namespace_file(self, name: str) -> Path:
        return Path("/run/netns") / self._namespace(name)

    def close(self) -> None:
        """Kills all processes on the nodes, and removes the nodes but not their disks."""
        for process in self.processes:
            process.popen.kill()  # it may not have entered its node yet
        for namespace in self._namespaces:
            self._kill_processes(namespace)
        for process in self.processes:
            process.popen.wait(10)
        for namespace in self._namespaces:
            self._ip("netns", "delete", namespace)
        self._namespaces.clear()
        if self._user_namespace is not None:
            self._user_namespace.kill()
            self._user_namespace.communicate()
            self._user_namespace = None

    def _namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def _become_root(self) -> None:
        """Without root, creates a user namespace, which exists as long as its first process."""
        if os.geteuid() == 0:
            return
        pipe = subprocess.PIPE
        self._user_namespace = subprocess.Popen(
            ["/bin/sh", "-c", _USER_NAMESPACE], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )
        assert self._user_namespace.stdout is not None
        if self._user_namespace.stdout.readline() != "ready\n":
            reason = self._user_namespace.communicate()[1].strip()
            raise NamespaceError(f"this user can't create namespaces: {reason}")
        self._enter_user_namespace = [*_ENTER_USER_NAMESPACE, f"--target={self._user_namespace.pid}"]

    def _remove_leftovers(self) -> None:
        """Removes the namespaces of a pytest that was killed."""
        for namespace in re.findall(r"^tests-\d+-\w+-\w+", self.namespaces(), re.MULTILINE):
            if not Path("/proc", namespace.split("-")[1]).exists():
                with contextlib.suppress(NamespaceError):  # another run may be removing it
                    self._kill_processes(namespace)
                    self._ip("netns", "delete", namespace)

    def _create_files(self) -> None:
        for name in ("logs", "disk", *(folder for node in self.nodes for folder in (node.name, f"tmp-{node.name}"))):
            (self.root / name).mkdir(parents=True)
        names = [("127.0.0.1", "localhost"), *((node.address, node.name) for node in self.nodes)]
        (self.root / "hosts").write_text("".join(f"{address} {name}\n" for address, name in names))
        for name, text in (("enter", _ENTER), ("remote_shell", _REMOTE_SHELL)):
            root, inside = shlex.quote(str(self.root)), shlex.join(self._enter_user_namespace)
            (self.root / name).write_text(text.format(root=root, inside=inside, prefix=self.prefix))
            (self.root / name).chmod(0o755)

    def _create_network(self) -> None:
        self._create_namespace(_SWITCH)
        switch = ("-n", self._namespace(_SWITCH))
        self._ip(*switch, "link", "add", "bridge", "type", "bridge")
        self._ip(*switch, "link", "set", "bridge", "up")
        for node in self.nodes:
            self._create_namespace(node.name)
            namespace, port = self._namespace(node.name), f"port{node.number}"
            self._ip(*switch, "link", "add", port, "type", "veth", "peer", "name", INTERFACE, "netns", namespace)
            self._ip(*switch, "link", "set", port, "master", "bridge", "up")
            self._ip("-n", namespace, "address", "add", f"{node.address}/24", "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                self._ip("-n", namespace, "link", "set", interface, "up")

    def _create_namespace(self, name: str) -> None:
        self._ip("netns", "add", self._namespace(name))
        self._namespaces.append(self._namespace(name))

    def _pids(self, namespace: str) -> list[int]:
        return [int(pid) for pid in self._ip("netns", "pids", namespace).split()]

    def _ip(self, *arguments: str) -> str:
        program = find_program("ip")
        if program is None:
            raise NamespaceError("iproute2 isn't installed")
        done = subprocess.run(
            [*self._enter_user_namespace, program, *arguments], capture_output=True, text=True, timeout=30
        )
        if done.returncode != 0:
            raise NamespaceError(f"ip {shlex.join(arguments)}: {done.stderr}")
        return done.stdout

    def _set_link(self, node: int, state: str) -> None:
        self._ip("-n", self._namespace(_SWITCH), "link", "set", f"port{self.nodes[node].number}", state)

    def _kill_processes(self, namespace: str) -> None:
        deadline = time.monotonic() + 10
        while (pids := self._pids(namespace)) and time.monotonic() < deadline:
            for pid in pids:
                _kill(pid)
            time.sleep(0.05)
        if pids:
            raise NamespaceError(f"processes {pids} still run in {namespace}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended


def _command_line(pid: int) -> str:
    try:
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text().replace(chr(0), ' ')}"
    except OSError:
        return f"{pid}: has just ended"


def _set_network(namespace: int) -> None:
    """Moves this thread to the network namespace; Python has os.setns since 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@functools.cache
def namespaces_work() -> bool:
    """Whether a cluster with a node can be created, and a process started on it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Cluster(Path(folder) / "cluster", nodes=1) as cluster:
                return cluster.nodes[0].start(["true"]).popen.wait(60) == 0
        except (NamespaceError, OSError, subprocess.SubprocessError):
            return False
