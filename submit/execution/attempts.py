"""Runs a job until it has ended by itself: Azure ML starts one again whose nodes were taken away."""

import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from submit.execution.inputs import Inputs
from submit.execution.nodes import COLLECTED, Nodes, node_name
from submit.execution.processes import Processes, ProcessResult

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, Eviction

_ENDED_BY_NOTICE = 128 + signal.SIGTERM  # of a training that has ended because of it


@dataclass(frozen=True)
class Attempt:
    """One start of a job.

    Args:
        results: How its processes ended.
        eviction: What ended it; None if it has ended by itself.
        was_taken: Whether the processes ran until the node was taken away; otherwise they had ended before.
    """

    results: Sequence[ProcessResult]
    eviction: "Eviction | None" = None
    was_taken: bool = False


@dataclass
class JobRun:
    """A job with everything that it needs to start, and to start again.

    Args:
        service: The emulator that has the job.
        run_id: Of the job's run, which all attempts have.
        nodes: Its nodes.
        inputs: Its inputs and outputs.
        variables: Further variables of its processes.
        prepare: Called before each start.
        collect: Called when the processes of an attempt have ended, and their nodes are still there.
    """

    service: "AzureMLEmulator"
    run_id: str
    nodes: Nodes
    inputs: Inputs = field(default_factory=Inputs)
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    collect: Callable[[], None] = lambda: None

    def node_name(self, node: int) -> str:
        return node_name(self.run_id, node)

    def run(
        self,
        timeout: float,
        show: Callable[[str], None],
        is_over: Callable[[], bool],
    ) -> list[Attempt]:
        """Returns the attempts; the last one ended by itself, or after ``timeout`` seconds in all.

        Args:
            timeout: Of all attempts together.
            show: Gets the lines of rank 0.
            is_over: Called again and again; the processes are ended when it is true.
        """
        deadline = time.monotonic() + timeout
        attempts = [self._attempt(None, deadline, show, is_over)]
        while attempts[-1].eviction is not None and not is_over():
            self.service.set_run_status(self.run_id, "Queued")
            attempts.append(self._attempt(attempts[-1].eviction, deadline, show, is_over))
        return attempts

    def _start_nodes(self, eviction: "Eviction | None") -> None:
        """New machines, with the snapshot and nothing else but the outputs until then, if they come back."""
        for node in range(self.nodes.shape.nodes):
            folder = self.nodes.folder(node)
            aside = folder.parent / "kept"
            for name in COLLECTED if eviction is not None and eviction.disk_is_kept else ():
                if (folder / name).is_dir():
                    aside.mkdir(exist_ok=True)
                    (folder / name).rename(aside / name)
            shutil.rmtree(folder, ignore_errors=True)
            self.nodes.write_snapshot(node)
            for kept in aside.iterdir() if aside.is_dir() else ():
                shutil.copytree(kept, folder / kept.name, dirs_exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)

    def _attempt(
        self, earlier: "Eviction | None", deadline: float, show: Callable[[str], None], is_over: Callable[[], bool]
    ) -> Attempt:
        self.prepare()
        self._start_nodes(earlier)
        self.service.set_run_status(self.run_id, "Running")
        home = self.nodes.root / "home"
        shutil.rmtree(home, ignore_errors=True)
        environment = dict(self.nodes.definition.environment(self.service, self.run_id, home)) | dict(self.variables)
        starts = self.nodes.starts(environment | dict(self.inputs.variables), self.inputs, self._metadata)
        taken: list[Eviction] = []
        with Processes(starts) as processes:

            def takes_nodes_or_is_over() -> bool:
                taken.extend(self._take_nodes(processes))
                return is_over()

            results = processes.wait(deadline - time.monotonic(), show, takes_nodes_or_is_over)
        if taken:
            return Attempt(results, taken[0], was_taken=True)
        self.collect()
        return Attempt(results, self._end_by_notice(results))

    def _metadata(self, node: int) -> str:
        return self.service.metadata_address(self.node_name(node))

    def _announced(self) -> list[tuple["Eviction", list[int]]]:
        """The announced evictions of this job's nodes, with their numbers."""
        names = [self.node_name(node) for node in range(self.nodes.shape.nodes)]
        found = [(each, [names.index(name) for name in each.nodes if name in names]) for each in self.service.evictions]
        return [(eviction, numbers) for eviction, numbers in found if numbers]

    def _take_nodes(self, processes: Processes) -> list["Eviction"]:
        due = [(eviction, numbers) for eviction, numbers in self._announced() if eviction.is_due]
        for eviction, numbers in due:
            for number in numbers:
                processes.take_away(number, self.nodes.folder(number))
            self.service.withdraw_eviction(eviction.id)  # it is over
        return [eviction for eviction, _ in due]

    def _end_by_notice(self, results: Sequence[ProcessResult]) -> "Eviction | None":
        """The job's processes have ended because of an announcement, before their node was taken away."""
        announced = self._announced()
        if not announced or not any(result.status == _ENDED_BY_NOTICE for result in results):
            return None
        for eviction, _ in announced:
            self.service.withdraw_eviction(eviction.id)
        return announced[0][0]
