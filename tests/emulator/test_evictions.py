"""Nodes that are taken away: the emulator kills what runs on them, and starts the job again as the same run."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator
from submit.execution.attempts import Attempt, JobRun
from submit.execution.inputs import Inputs
from submit.execution.machine import take_away
from submit.execution.nodes import METADATA_ADDRESS, Nodes
from submit.execution.v1_definition import V1Definition
from tests.support.emulator_jobs import ask

ENDED = 60.0  # seconds, many times what is usual
# adds a line for its start to a file, starts a process that nobody waits for, and works in the first start only
SCRIPT = """
import os, pathlib, subprocess, sys, time
rank, output = os.environ.get("RANK", "0"), pathlib.Path(sys.argv[1])
starts = pathlib.Path("outputs", f"starts-{rank}")
starts.parent.mkdir(exist_ok=True)
with starts.open("a") as file:
    print(os.environ["AZUREML_RUN_ID"], file=file)
pathlib.Path("on_disk").touch(exist_ok=False)
print("rank", rank, "start", len(starts.read_text().splitlines()), flush=True)
if not (output / f"done-{rank}").exists():
    (output / f"done-{rank}").touch()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (output / f"child-{rank}").write_text(str(child.pid))
    ends = pathlib.Path(output, f"status-{rank}")
    while not ends.exists():
        time.sleep(0.01)
    child.kill()
    sys.exit(int(ends.read_text()))
"""


class EvictedJob:
    """A job of two nodes, with an output of the datastore."""

    def __init__(self, service: AzureMLEmulator, folder: Path) -> None:
        self.service = service
        run = service.new_run("exp")
        location = {"datastoreName": "workspaceblobstore", "relativePath": "kept/{run-id}"}
        definition: dict[str, Any] = {
            "nodeCount": 2,
            "communicator": "nccl",
            "pytorch": {"processCount": 2, "nodeCount": 2},
            "script": "train.py",
            "arguments": ["DatasetOutputConfig:written"],
            "outputData": {"written": {"outputLocation": {"dataPath": location}, "mechanism": "mount"}},
        }
        sent = V1Definition(definition)
        outputs = sent.prepare_outputs(service, run.id, folder / "written")
        self.output = outputs["written"]
        nodes = Nodes(folder / "nodes", sent, {"train.py": SCRIPT.encode()})
        self.run = JobRun(service, run.id, nodes, sent.with_outputs(Inputs(), outputs), collect=self._collect)
        self.lines: list[str] = []
        self.collected = 0
        self._attempts: list[Attempt] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()
        wait_for(lambda: all((self.output.folder / f"child-{rank}").exists() for rank in range(2)))

    def end(self, status: int, *ranks: int) -> None:
        """Lets processes of the first start end."""
        for rank in ranks:
            unfinished = self.output.folder / f"unfinished-{rank}"
            unfinished.write_text(str(status))
            unfinished.rename(self.output.folder / f"status-{rank}")

    def finish(self) -> list[Attempt]:
        self._thread.join(ENDED)
        assert self._attempts
        return self._attempts

    def starts(self, rank: int) -> int:
        """As the outputs of a node count them."""
        return len((self.run.nodes.folder(rank) / "outputs" / f"starts-{rank}").read_text().splitlines())

    def _collect(self) -> None:
        self.collected += 1

    def _work(self) -> None:
        self._attempts = self.run.run(ENDED, self.lines.append, lambda: False)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDED
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: str) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def job(service: AzureMLEmulator, tmp_path: Path) -> EvictedJob:
    return EvictedJob(service, tmp_path)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_job_whose_node_is_taken_away_starts_again(job: EvictedJob, is_kept: bool) -> None:
    job.start()

    job.service.announce_eviction([job.run.node_name(0)], 0.5, is_kept)
    job.end(1, 1)  # as it does without rank 0

    first, second = job.finish()
    assert first.was_taken
    assert second.eviction is None
    assert [result.status for result in second.results] == [0, 0]
    assert [job.starts(rank) for rank in range(2)] == [2, 2] if is_kept else [1, 1]
    assert job.lines[0] == "rank 0 start 1"
    assert job.lines[-1] == f"rank 0 start {2 if is_kept else 1}"
    assert job.service.evictions == []
    assert job.service.run(job.run.run_id).status == "Running"
    assert job.collected == 1  # nothing is left of the first start


@pytest.mark.skipif(sys.platform != "linux", reason="the system lists no processes")
def test_all_that_runs_on_a_node_ends_with_it(job: EvictedJob) -> None:
    job.start()
    children = [(job.output.folder / f"child-{rank}").read_text() for rank in range(2)]
    assert all(is_running(child) for child in children)

    job.service.announce_eviction([job.run.node_name(0), job.run.node_name(1)], 0)

    first, _ = job.finish()
    assert first.was_taken
    assert not any(is_running(child) for child in children)


def test_a_job_that_ends_itself_at_the_notice_starts_again(job: EvictedJob) -> None:
    job.start()

    job.service.announce_eviction([job.run.node_name(1)], 600)
    job.end(143, 0, 1)

    first, second = job.finish()
    assert (first.was_taken, first.eviction is None) == (False, False)
    assert [result.status for result in first.results] == [143, 143]
    assert [result.status for result in second.results] == [0, 0]
    assert job.collected == 2
    assert job.service.evictions == []


@pytest.mark.parametrize("status", [0, 1, 143])
def test_a_job_that_ends_without_an_eviction_does_not(job: EvictedJob, status: int) -> None:
    job.start()

    withdrawn = job.service.announce_eviction([job.run.node_name(1)], 600)
    job.service.announce_eviction(["of-another-job"], 0)
    job.service.withdraw_eviction(withdrawn)
    job.end(status, 0, 1)

    (only,) = job.finish()
    assert only.eviction is None
    assert [result.status for result in only.results] == [status] * 2


def test_a_job_that_fails_after_the_notice_has_failed(job: EvictedJob) -> None:
    job.start()

    job.service.announce_eviction([job.run.node_name(1)], 600)
    job.end(2, 0, 1)

    (only,) = job.finish()
    assert [result.status for result in only.results] == [2, 2]


def test_each_node_has_its_own_metadata_service(job: EvictedJob) -> None:
    starts = job.run.nodes.starts({}, job.run.inputs, lambda node: f"http://{node}")

    assert [start.environment[METADATA_ADDRESS] for start in starts] == ["http://0", "http://1"]


def test_what_an_output_holds_is_in_the_datastore_and_comes_back(job: EvictedJob, tmp_path: Path) -> None:
    (job.output.folder / "a").mkdir()
    (job.output.folder / "a" / "b").write_bytes(b"c")

    job.output.store(job.service)

    assert job.service.datastore == {f"kept/{job.run.run_id}/a/b": b"c"}
    location = {"datastoreName": "workspaceblobstore", "relativePath": f"kept/{job.run.run_id}"}
    definition = {"outputData": {"x": {"outputLocation": {"dataPath": location}, "mechanism": "Upload"}}}
    again = V1Definition(definition).prepare_outputs(job.service, "other", tmp_path / "again")["x"]
    assert (again.folder / "a" / "b").read_bytes() == b"c"


@pytest.mark.skipif(sys.platform != "linux", reason="the system lists no processes")
def test_only_what_runs_in_the_folder_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print('', flush=True); time.sleep(600)"]
    processes = []
    for name in ("node", "node/code", "node1"):
        (tmp_path / name).mkdir()
        processes.append(subprocess.Popen(command, cwd=tmp_path / name, stdout=subprocess.PIPE))
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()

        take_away(tmp_path / "node")

        assert [process.wait(ENDED) for process in processes[:2]] == [-9, -9]
        assert processes[2].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_evictions_are_announced_and_withdrawn_by_requests(service: AzureMLEmulator) -> None:
    status, content = ask(service, "POST", "/emulator/evictions", {"nodes": ["a", "b"], "seconds": 0.5, "disk": "lost"})

    (announced,) = service.evictions
    assert (status, content) == (200, {"id": announced.id})
    assert (announced.nodes, announced.disk_is_kept) == (("a", "b"), False)
    assert ask(service, "DELETE", f"/emulator/evictions/{announced.id}", None)[0] == 200
    assert service.evictions == []
    assert ask(service, "DELETE", f"/emulator/evictions/{announced.id}", None)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        *([], {}, {"nodes": "a"}, {"nodes": [1]}, {"nodes": []}, {"nodes": ["a"], "seconds": -1}),
        *({"nodes": ["a"], "seconds": "1"}, {"nodes": ["a"], "seconds": 1e12}, {"nodes": ["a"], "disk": "gone"}),
    ],
)
def test_an_eviction_that_cannot_be_is_refused(service: AzureMLEmulator, body: Any) -> None:
    assert ask(service, "POST", "/emulator/evictions", body)[0] == 400
    assert service.evictions == []
