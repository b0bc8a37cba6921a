"""The nodes of a job: each is a folder with the snapshot, in which its processes run."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from submit.execution.launchers import ProcessRank, process_ranks, variables
from submit.execution.mount import Mount
from submit.execution.processes import ProcessStart
from submit.request import JobShape, job_command, job_shape, job_variables

# The address of all nodes, which are folders of this machine. The training refuses 127.0.0.1 as the address of rank 0
# of several nodes, because on a cluster that is each node itself; on Linux, 127.0.0.2 is this machine as well.
ADDRESS = "127.0.0.2" if sys.platform == "linux" else socket.gethostname()
LOGS = "user_logs"
COLLECTED = ("outputs", "logs")
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # a node gets nothing else of this machine's environment


@dataclass(frozen=True)
class Nodes:
    """The nodes in one folder, for a submitted job."""

    root: Path
    configuration: Mapping[str, object]
    files: Mapping[str, bytes]

    @property
    def shape(self) -> JobShape:
        shape = job_shape(self.configuration)
        assert shape is not None  # submit sends jobs with a shape only
        return shape

    def folder(self, node: int) -> Path:
        """The folder of a node's snapshot, in which its processes run."""
        return self.root / f"node{node}" / "code"

    def write_snapshots(self) -> None:
        """Writes the snapshot to the folder of each node."""
        for node in range(self.shape.nodes):
            for path, content in self.files.items():
                target = self.folder(node) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def starts(self, job_environment: Mapping[str, str], data: Mount | None) -> list[ProcessStart]:
        """What to start for each process, in the order of the ranks."""
        shape, port = self.shape, free_port()
        command = job_command(self.configuration, sys.executable, str(data.target) if data else None)
        prefix = list(data.prefix) if data else []
        starts = []
        for rank in process_ranks(shape.nodes, shape.processes_per_node):
            environment = (
                self._environment(rank)
                | job_variables(self.configuration)
                | dict(job_environment)
                | dict(variables(shape.launcher, rank, ADDRESS, port))
            )
            starts.append(ProcessStart(rank, [*prefix, *command], self.folder(rank.node), environment, self._log(rank)))
        return starts

    def outputs(self) -> Iterator[tuple[str, Path]]:
        """The files that Azure ML keeps, by their names in the run; the logs of the processes are among them."""
        for node in range(self.shape.nodes):
            for name in COLLECTED:
                yield from _files(self.folder(node) / name, self.folder(node))
        yield from _files(self.root / LOGS, self.root)

    def _log(self, rank: ProcessRank) -> Path:
        return self.root / LOGS / f"std_log_process_{rank.rank}.txt"

    def _environment(self, rank: ProcessRank) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # several processes share this machine's cores; on a cluster each has its own
        threads = max(1, (os.cpu_count() or 1) // rank.processes)
        return kept | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads)}


def _files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(root).as_posix(), path


def free_port() -> int:
    """A free port for rank 0; the next one is free for the watchdog."""
    while True:
        with socket.socket() as probe, socket.socket() as next_probe:
            probe.bind((ADDRESS, 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                next_probe.bind((ADDRESS, port + 1))
                return port
