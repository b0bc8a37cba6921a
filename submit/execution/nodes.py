"""The nodes of a job: each has the snapshot on a disk of its own, and starts its processes there."""

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
from submit.request import job_command, job_shape, job_variables

# Of all nodes: they are folders of this machine. Training refuses 127.0.0.1 as the address of rank 0 for several nodes,
# because on a cluster that is each node itself; Linux has 127.0.0.2 for this machine as well.
ADDRESS = "127.0.0.2" if sys.platform == "linux" else socket.gethostname()
LOGS = "user_logs"
COLLECTED = ("outputs", "logs")
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # a node has nothing else of the machine that sent the job


@dataclass(frozen=True)
class Nodes:
    """The nodes below one folder, for a job as it was submitted."""

    root: Path
    configuration: Mapping[str, object]
    files: Mapping[str, bytes]

    def folder(self, node: int) -> Path:
        """Where a node has the snapshot, and its processes run."""
        return self.root / f"node{node}" / "code"

    def lay_out(self) -> None:
        """Writes the snapshot to each node's disk."""
        for node in range(job_shape(self.configuration).nodes):
            for path, content in self.files.items():
                target = self.folder(node) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def starts(self, job_environment: Mapping[str, str], data: Mount | None) -> list[ProcessStart]:
        """One for each process, in the order of the ranks."""
        shape, port = job_shape(self.configuration), free_port()
        command = job_command(self.configuration, sys.executable, str(data.target) if data else None)
        prefix = list(data.prefix) if data else []
        starts = []
        for place in process_ranks(shape.nodes, shape.processes_per_node):
            environment = (
                self._environment(place)
                | job_variables(self.configuration)
                | dict(job_environment)
                | dict(variables(shape.launcher, place, ADDRESS, port))
            )
            starts.append(
                ProcessStart(place, [*prefix, *command], self.folder(place.node), environment, self._log(place))
            )
        return starts

    def outputs(self) -> Iterator[tuple[str, Path]]:
        """What Azure ML keeps of the nodes' disks: the name in the run, and the file; logs of processes among it."""
        for node in range(job_shape(self.configuration).nodes):
            for name in COLLECTED:
                yield from _files(self.folder(node) / name, self.folder(node))
        yield from _files(self.root / LOGS, self.root)

    def _log(self, place: ProcessRank) -> Path:
        return self.root / LOGS / f"std_log_process_{place.rank}.txt"

    def _environment(self, place: ProcessRank) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # several processes share this machine's cores; on a cluster each has its own
        threads = max(1, (os.cpu_count() or 1) // place.processes)
        return kept | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads)}


def _files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(root).as_posix(), path


def free_port() -> int:
    """One for rank 0; the watchdog takes the next."""
    while True:
        with socket.socket() as probe, socket.socket() as next_probe:
            probe.bind((ADDRESS, 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                next_probe.bind((ADDRESS, port + 1))
                return port
