"""Nodes of a cluster on this machine: network namespaces with addresses, host names and disks of their own.

    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        process = cluster.nodes[1].start(["python", "-m", "lightning_app.fit"], {"MASTER_ADDR": cluster.address})
        process.wait_for("epoch=0")
        cluster.cut(1)
        print(process.finish().status)

Each node's working folder is the same path everywhere, ``cluster/disk``, and another folder on each node,
``Node.folder``; nothing that a node writes there is seen on another one. Nothing of a cluster is in the machine's own
network, so that ports can't collide and every cluster can have the same addresses. When it ends, so do all processes
on its nodes, whoever has started them.
"""

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.commands import Outcome, environment
from tests.support.programs import require_program

INTERFACE = "eth0"  # of each node
SECONDS = 240  # in which a training of these tests ends, with four processes on two busy cores
_SWITCH = "switch"
_CLONE_NEWNET = 0x40000000  # of Linux' sched.h

# The machine's own host name leads to an address that no node has, and gloo, which asks for it, would listen there.
# So each node has a name that leads to its address on all nodes, as those of Azure ML have, and gloo needs no
# GLOO_SOCKET_IFNAME. `ip netns exec` has made a mount namespace, so that what is mounted here is the node's alone.
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
# What mpirun takes for ssh. As with ssh, no variable comes along that nobody has asked for.
_SHELL = """\
#!/bin/sh
# remote_shell NODE COMMAND: as ssh
node=$1
shift
exec env -i PATH="$PATH" HOME="$HOME" {root}/enter "$node" sh -c "$*"
"""
_GROUND = """\
exec unshare --user --map-root-user --net --mount sh -ec '
mount -t tmpfs none /run  # where ip keeps its namespaces
mkdir /run/netns
echo ready
exec sleep infinity'
"""
_INSIDE = ("nsenter", "--user", "--net", "--mount", "--preserve-credentials")


class Process:
    """A command that runs on a node; what it prints goes to files, so that it never waits for a reader.

    ``popen.pid`` is the command itself, and leads a process group of its own.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], logs: Path) -> None:
        self.name, self.popen, self._logs = name, popen, logs

    @property
    def out(self) -> str:
        return self._logs.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self._logs.with_suffix(".err").read_text()

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Until standard output has the text in it."""
        deadline = time.monotonic() + seconds
        while text not in self.out:
            ended = self.popen.poll() is not None
            if time.monotonic() > deadline or (ended and text not in self.out):
                pytest.fail(f"{self.name} hasn't said {text!r}\n{self.told()}")
            time.sleep(0.05)

    def finish(self, seconds: float = SECONDS) -> Outcome:
        """Exit status and output; fails the test where the command goes on for longer."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} hasn't ended within {seconds:.0f} s\n{self.told()}")
        return Outcome(self.popen.returncode, self.out, self.err)

    def send(self, number: signal.Signals) -> None:
        """A signal to the command alone, not to what it has started."""
        self.popen.send_signal(number)

    def told(self) -> str:
        return f"--- {self.name}, standard output\n{self.out}\n--- {self.name}, standard error\n{self.err}"


@dataclass(frozen=True)
class Node:
    """A node: its name, which is its host name, its address, and the folder that is its disk."""

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
        """The command in the node's working folder, with these variables beside those of the tests."""
        return self.cluster.start(self, command, variables or {})

    def pids(self) -> list[int]:
        """All processes on the node, whoever has started them."""
        return self.cluster.pids(self.name)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile are the node's; so a server of a test can listen there."""
        if self.cluster.in_user_namespace:
            pytest.fail("this test has a server on a node, which takes root's rights: run it as root", pytrace=False)
        with Path("/proc/thread-self/ns/net").open() as own, self.cluster.namespace_file(self.name).open() as other:
            _set_network(other.fileno())
            try:
                yield
            finally:
                _set_network(own.fileno())


class Cluster:
    """Nodes that are joined by a switch; see above. ``root`` mustn't exist, or be empty."""

    def __init__(self, root: Path, nodes: int) -> None:
        self.root = root
        self.nodes = [Node(self, number) for number in range(nodes)]
        self.processes: list[Process] = []
        # two workers of pytest, and two runs of it, are on the machine at once
        self.prefix = f"tests-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._made: list[str] = []
        self._ground: subprocess.Popen[str] | None = None
        self._inside: list[str] = []

    @property
    def address(self) -> str:
        """That of the first node, where rank 0 listens."""
        return self.nodes[0].address

    @property
    def in_user_namespace(self) -> bool:
        return self._ground is not None

    @property
    def remote_shell(self) -> Path:
        return self.root / "remote_shell"

    def __enter__(self) -> "Cluster":
        require_program("ip", "iproute2")
        try:
            self._become_root()
            self._remove_what_killed_runs_left()
            self._lay_out()
            self._connect()
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

    def cut(self, node: int = -1) -> None:
        """Pulls a node's cable (the last one's), at the switch: nobody is told, packets arrive nowhere any more."""
        self._set_link(node, "down")

    def mend(self, node: int = -1) -> None:
        """Puts the cable back."""
        self._set_link(node, "up")

    def pids(self, name: str) -> list[int]:
        return self._pids(self._namespace(name))

    def left(self, seconds: float = 10) -> list[str]:
        """What still runs on a node after this time, as command lines; comes back as soon as there is nothing."""
        deadline = time.monotonic() + seconds
        while (pids := [pid for node in self.nodes for pid in node.pids()]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [_command_line(pid) for pid in pids]

    def namespaces(self) -> str:
        """All that there are, those of other clusters too."""
        return self._ip("netns", "list")

    def namespace_file(self, name: str) -> Path:
        return Path("/run/netns") / self._namespace(name)

    def close(self) -> None:
        """Ends all processes on the nodes, and removes the nodes; their disks stay."""
        for process in self.processes:
            process.popen.kill()  # it may be on its way to its node
        for namespace in self._made:
            self._end_processes(namespace)
        for process in self.processes:
            process.popen.wait(10)
        for namespace in self._made:
            self._ip("netns", "delete", namespace)
        self._made.clear()
        if self._ground is not None:
            self._ground.kill()
            self._ground.communicate()
            self._ground = None

    def _namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def _become_root(self) -> None:
        """A user without root's rights has them in a user namespace, which is there as long as its first process."""
        if os.geteuid() == 0:
            return
        pipe = subprocess.PIPE
        self._ground = subprocess.Popen(
            ["/bin/sh", "-c", _GROUND], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )
        assert self._ground.stdout is not None
        if self._ground.stdout.readline() != "ready\n":
            reason = self._ground.communicate()[1].strip()
            pytest.fail(f"this test makes network namespaces: run it as root ({reason})", pytrace=False)
        self._inside = [*_INSIDE, f"--target={self._ground.pid}"]

    def _remove_what_killed_runs_left(self) -> None:
        """Those whose pytest was killed, and had no time for it."""
        for namespace in re.findall(r"^tests-\d+-\w+-\w+", self.namespaces(), re.MULTILINE):
            if not Path("/proc", namespace.split("-")[1]).exists():
                with contextlib.suppress(AssertionError):  # another run may be doing the same
                    self._end_processes(namespace)
                    self._ip("netns", "delete", namespace)

    def _lay_out(self) -> None:
        for name in ("logs", "disk", *(folder for node in self.nodes for folder in (node.name, f"tmp-{node.name}"))):
            (self.root / name).mkdir(parents=True)
        names = [("127.0.0.1", "localhost"), *((node.address, node.name) for node in self.nodes)]
        (self.root / "hosts").write_text("".join(f"{address} {name}\n" for address, name in names))
        for name, text in (("enter", _ENTER), ("remote_shell", _SHELL)):
            root, inside = shlex.quote(str(self.root)), shlex.join(self._inside)
            (self.root / name).write_text(text.format(root=root, inside=inside, prefix=self.prefix))
            (self.root / name).chmod(0o755)

    def _connect(self) -> None:
        self._make(_SWITCH)
        switch = ("-n", self._namespace(_SWITCH))
        self._ip(*switch, "link", "add", "bridge", "type", "bridge")
        self._ip(*switch, "link", "set", "bridge", "up")
        for node in self.nodes:
            self._make(node.name)
            namespace, port = self._namespace(node.name), f"port{node.number}"
            self._ip(*switch, "link", "add", port, "type", "veth", "peer", "name", INTERFACE, "netns", namespace)
            self._ip(*switch, "link", "set", port, "master", "bridge", "up")
            self._ip("-n", namespace, "address", "add", f"{node.address}/24", "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                self._ip("-n", namespace, "link", "set", interface, "up")

    def _make(self, name: str) -> None:
        self._ip("netns", "add", self._namespace(name))
        self._made.append(self._namespace(name))

    def _pids(self, namespace: str) -> list[int]:
        return [int(pid) for pid in self._ip("netns", "pids", namespace).split()]

    def _ip(self, *arguments: str) -> str:
        done = subprocess.run([*self._inside, "ip", *arguments], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"ip {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    def _set_link(self, node: int, state: str) -> None:
        self._ip("-n", self._namespace(_SWITCH), "link", "set", f"port{self.nodes[node].number}", state)

    def _end_processes(self, namespace: str) -> None:
        deadline = time.monotonic() + 10
        while (pids := self._pids(namespace)) and time.monotonic() < deadline:
            for pid in pids:
                _kill(pid)
            time.sleep(0.05)
        assert not pids, f"processes {pids} go on in {namespace}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself


def _command_line(pid: int) -> str:
    try:
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text().replace(chr(0), ' ')}"
    except OSError:
        return f"{pid}: has just ended"


def _set_network(namespace: int) -> None:
    """Moves this thread there; os.setns is there from Python 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
