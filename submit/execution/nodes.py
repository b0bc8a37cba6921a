"""The nodes of a job: each is a folder with the snapshot, in which its processes run."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from submit.execution.definition import Definition
from submit.execution.files import write_files
from submit.execution.inputs import Inputs
from submit.execution.launchers import ProcessRank, process_ranks, variables
from submit.execution.processes import ProcessStart
from submit.job import JobShape

# The address of all nodes, which are folders of this machine. The training refuses 127.0.0.1 as the address of rank 0
# of several nodes, because on a cluster that is each node itself; on Linux, 127.0.0.2 is this machine as well.
ADDRESS = "127.0.0.2" if sys.platform == "linux" else socket.gethostname()
LOGS = "user_logs"
COLLECTED = ("outputs", "logs")
METADATA_ADDRESS = "LIGHTNING_APP_METADATA_ADDRESS"  # in place of the one that each machine of Azure has
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # a node gets nothing else of this machine's environment


def node_name(run_id: str, number: int) -> str:
    """The name of a job's node, as virtual machines of a scale set are named."""
    return f"{run_id}_{number}"


@dataclass(frozen=True)
class Nodes:
    """The nodes in one folder, for a submitted job."""

    root: Path
    definition: Definition
    files: Mapping[str, bytes]

    @property
    def shape(self) -> JobShape:
        return self.definition.shape

    def folder(self, node: int) -> Path:
        """The folder of a node's snapshot, in which its processes run."""
        return self.root / f"node{node}" / "code"

    def write_snapshot(self, node: int) -> None:
        """Writes the snapshot to the folder of a node."""
        write_files(self.files, self.folder(node))

    def starts(
        self,
        job_environment: Mapping[str, str],
        inputs: Inputs,
        metadata_address: Callable[[int], str],
    ) -> list[ProcessStart]:
        """What to start for each process, in the order of the ranks.

        Args:
            job_environment: The variables of the job.
            inputs: Its inputs and outputs.
            metadata_address: Of the metadata service of each node.
        """
        shape, port = self.shape, free_port()
        command = [*inputs.prefix, *self.definition.command(inputs)]
        starts = []
        for rank in process_ranks(shape.nodes, shape.processes_per_node):
            environment = (
                self._environment(rank)
                | dict(self.definition.variables)
                | dict(job_environment)
                | self._launcher_variables(rank, port)
                | {METADATA_ADDRESS: metadata_address(rank.node)}
            )
            starts.append(ProcessStart(rank, command, self.folder(rank.node), environment, self._log(rank)))
        return starts

    def logs(self) -> Iterator[tuple[str, Path]]:
        """The logs of the processes, by their names in the run."""
        yield from _files(self.root / LOGS, self.root)

    def outputs(self) -> Iterator[tuple[str, Path]]:
        """The files that Azure ML keeps, by their names in the run; the logs of the processes are among them."""
        for node in range(self.shape.nodes):
            for name in COLLECTED:
                yield from _files(self.folder(node) / name, self.folder(node))
        yield from self.logs()

    def _launcher_variables(self, rank: ProcessRank, port: int) -> dict[str, str]:
        return dict(variables(self.shape.launcher, rank, ADDRESS, port)) if self.definition.is_distributed else {}

    def _log(self, rank: ProcessRank) -> Path:
        name = f"std_log_process_{rank.rank}.txt" if self.definition.is_distributed else "std_log.txt"
        return self.root / LOGS / name

    def _environment(self, rank: ProcessRank) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # a shell in the job's command finds the same Python
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        # several processes share this machine's cores; on a cluster each has its own
        threads = max(1, (os.cpu_count() or 1) // rank.processes)
        return kept | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads)}


def _files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        is_inside = path.resolve().is_relative_to(root.resolve())  # a link may lead out, to what isn't the job's
        if path.is_file() and is_inside and not path.name.startswith("."):
            yield path.relative_to(root).as_posix(), path


def free_port() -> int:
    """A port for rank 0 that is free at all addresses of this machine; the next one is free for the watchdog."""
    while True:
        with socket.socket() as probe, socket.socket() as next_probe:
            probe.bind(("", 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                next_probe.bind(("", port + 1))
                return port
