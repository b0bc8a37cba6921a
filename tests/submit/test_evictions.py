"""A rehearsed job that is preempted ends as if it had not been; and what submit does for a low-priority cluster."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lightning_app.watchdog.protocol import PROGRESS_FOLDER, SharedProgress
from submit.commands import rehearse
from submit.emulator import AzureMLEmulator
from submit.emulator.datetimes import now
from submit.emulator.state import MetricRow, Run
from submit.errors import SubmitError
from submit.execution.comparison import differences
from submit.execution.eviction_plan import EvictionPlan, Evictions, PlannedEviction
from submit.execution.worker import Worker
from submit.job import CHECKPOINT_PATH, BuiltEnvironment, DatastorePath, Job
from submit.low_priority import VARIABLE, for_low_priority
from submit.main import parse_command
from submit.v1.job import build_request
from submit.v1.request import resumed_job
from tests.support.commands import ROOT, environment
from tests.support.projects import copy_project
from tests.support.submitters import Submitter, until

MODULE = """
import time
from models import CifarNet


class Slow(CifarNet):
    def training_step(self, batch, batch_idx):
        time.sleep(0.03)
        return super().training_step(batch, batch_idx)
"""
LOG = "user_logs/std_log_process_0.txt"
SPOT = ("--sdk", "v2", "--compute", "serverless", "--vm_size", "Standard_NC24ads_A100_v4", "--low_priority")
JOB = Job("exp", ("python", "-m", "lightning_app.fit"), Path(), "gpu-cluster", BuiltEnvironment("x", image="image"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copy_project(tmp_path / "project")
    (folder / "slow_module.py").write_text(MODULE)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    training = ("--model", "slow_module.Slow", "--data", "datamodules.CIFAR10DataModule", "--num_epochs", "2")
    return subprocess.run(
        [sys.executable, "-m", "submit", "rehearse", "--limit", "150", *arguments, *training],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=900,
        env=environment() | {"TMPDIR": str(folder.parent)},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "stops", "kills", "lost"),
    [
        (["--evict", "40:kept,100:lost,170:withdrawn"], 2, 0, 1),
        (["--evict", "40,100,200", "--evict_disk", "lost", "--processes_per_node", "2"], 3, 0, 3),
        # the processes are killed, between two checkpoints, and nothing of the node is collected
        (["--evict", "60:kept,130:lost", "--on_preemption", "ignore", "--checkpoint_every", "25"], 0, 2, 1),
        (["--evict", "40:kept,100:lost,170:withdrawn", "--sdk", "v2"], 2, 0, 1),
        (["--evict", "60:lost,130", *SPOT, "--on_preemption", "ignore", "--checkpoint_every", "25"], 0, 2, 1),
    ],
)
def test_a_job_that_is_preempted_ends_as_if_it_had_not_been(
    flags: list[str], stops: int, kills: int, lost: int, project: Path
) -> None:
    """Where its outputs are lost with the node, it continues from the copies in the datastore."""
    done = run(project, *flags)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  Stopped by preemption (") == stops
    assert done.stdout.count("the processes had ended by themselves, and saved") == stops
    assert done.stdout.count("the processes were killed") == kills
    assert done.stdout.count("  Continuing from ") == stops + kills
    assert (
        len(re.findall(r"/checkpoints/last.ckpt: this run's newest checkpoint, after \d+ steps", done.stdout)) == lost
    )
    assert done.stdout.count("Azure has withdrawn the notice; training goes on.") == flags[1].count("withdrawn")
    assert "outputs/checkpoints/last.ckpt has the same weights, bit by bit, and the service has the same" in done.stdout
    command = next(line for line in done.stdout.splitlines() if line.startswith("  python -m submit run "))
    assert "--evict" not in command


def row(step: int | None, **data: Any) -> MetricRow:
    return MetricRow("id", step, data, now(), "azureml.v1.scalar")


def finished(rows: dict[str, list[MetricRow]], **artifacts: bytes) -> Run:
    return Run("run_1", "exp", 1, now(), metrics=rows, artifacts=dict(artifacts))


@pytest.mark.parametrize(
    ("rows", "difference"),
    [
        ({"loss": [row(1, loss=0.5), row(2, loss=0.25)]}, None),
        ({"loss": [row(2, loss=0.25), row(1, loss=0.5)]}, None),  # the order of arrival
        ({"loss": [row(1, loss=0.5), row(1, loss=0.5), row(2, loss=0.25)]}, "rows that are there more than once: loss"),
        ({"loss": [row(1, loss=0.5)]}, "metrics whose rows differ: loss"),
        ({"loss": [row(1, loss=0.5), row(2, loss=0.75)]}, "metrics whose rows differ: loss"),
        ({}, "metrics whose rows differ: loss"),
        ({"loss": [row(1, loss=0.5), row(2, loss=0.25)], "x": [row(1, x=1)]}, "metrics whose rows differ: x"),
    ],
)
def test_rows_that_are_missing_or_repeated_are_found(rows: dict[str, list[MetricRow]], difference: str | None) -> None:
    undisturbed = finished({"loss": [row(1, loss=0.5), row(2, loss=0.25)]})

    *found, weights = sorted(differences(undisturbed, finished(rows), ROOT), key=lambda line: "weights" in line)

    assert weights == "the weights can't be compared: not both runs have one run folder with checkpoints/last.ckpt"
    assert [line.removeprefix("metrics with ") for line in found] == ([] if difference is None else [difference])


def test_a_plan_announces_at_a_step_and_withdraws(
    service: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path))
    monkeypatch.setattr("submit.execution.eviction_plan._SECONDS_TO_WITHDRAWAL", 0.2)
    planned = (
        PlannedEviction(5, True, "withdrawn"),
        PlannedEviction(9, True, "lost"),
        PlannedEviction(0, False, "kept"),
    )
    lines: list[str] = []
    plan = EvictionPlan(Evictions(planned, 600), service, "node", tmp_path, lines.append)
    plan.start()
    progress = SharedProgress()

    progress.advance("training", 0, 4)
    plan.advance()
    assert service.evictions == []
    progress.advance("training", 0, 9)
    plan.advance()
    assert [eviction.nodes for eviction in service.evictions] == [("node",)]
    time.sleep(0.3)
    plan.advance()  # withdraws the first, and announces the second, whose step is reached
    (second,) = service.evictions
    assert not second.disk_is_kept
    plan.advance()
    assert plan.unreached == planned[2:]

    service.withdraw_eviction(second.id)
    plan.start()
    plan.advance()

    assert service.evictions[0].disk_is_kept
    assert plan.announced == list(planned)
    assert [line.partition(" of ")[0] for line in lines] == ["The eviction"] * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50", [(50, True, "kept")]),
        ("50,30s:lost,2m:withdrawn", [(50, True, "kept"), (30, False, "lost"), (120, False, "withdrawn")]),
    ],
)
def test_when_evictions_are_planned(text: str, expected: list[tuple[int, bool, str]]) -> None:
    _, options, _ = parse_command(["rehearse", "--evict", text])

    found = rehearse._planned(options)

    assert found is not None
    assert [(each.at, each.is_step, each.outcome) for each in found.planned] == expected
    assert found.notice == 5


@pytest.mark.parametrize("text", ["", "soon", "50:", "50:gone", "-1", "50,,60", "5x", "50:kept:lost"])
def test_an_eviction_that_cannot_be_planned_is_one_line(text: str) -> None:
    with pytest.raises(SubmitError, match="expected a step such as 50 or a time such as 30s"):
        parse_command(["rehearse", "--evict", text])


def test_serverless_nodes_that_azure_does_not_take_away_are_one_line() -> None:
    _, options, _ = parse_command(["rehearse", *SPOT[:-1], "--evict", "50"])

    with pytest.raises(
        SubmitError, match=r"^--evict: Azure takes only low-priority nodes away; .* give --low_priority$"
    ):
        rehearse.run(options, [])


def test_a_job_for_a_low_priority_cluster_has_a_folder_for_its_checkpoints() -> None:
    job = for_low_priority(JOB)

    assert job.command[-2:] == ("--checkpoint_dir", CHECKPOINT_PATH)
    assert job.checkpoints == DatastorePath(None, "lightning-azureml/{run-id}", "mount")
    request = build_request(job)["Configuration"]
    assert request["environmentVariables"] == {VARIABLE: "1"}
    assert request["command"].endswith(" --checkpoint_dir DatasetOutputConfig:checkpoints")
    output = request["outputData"]["checkpoints"]
    assert output["mechanism"] == "mount"
    assert output["outputLocation"]["dataPath"] == {
        "datastoreName": "workspaceblobstore",
        "relativePath": "lightning-azureml/{run-id}",
    }


SDKS_OWN = """
import json
from azureml.core import RunConfiguration
from azureml._execution._commands import _serialize_run_config_to_dict
from azureml.data import OutputFileDatasetConfig
config = RunConfiguration()
written = OutputFileDatasetConfig("checkpoints", ("workspaceblobstore", "lightning-azureml/{run-id}")).as_mount()
config.output_data["checkpoints"] = written._to_output_data()
print(json.dumps(_serialize_run_config_to_dict(config)["outputData"]))
"""


@pytest.mark.slow
def test_the_folder_is_requested_as_azureml_core_requests_it() -> None:
    done = subprocess.run([sys.executable, "-c", SDKS_OWN], capture_output=True, text=True, timeout=120, check=True)

    assert build_request(for_low_priority(JOB))["Configuration"]["outputData"] == json.loads(done.stdout)


def test_what_the_user_has_set_for_it_stays() -> None:
    given = Job(
        "exp",
        (*JOB.command, "--checkpoint_dir=/mnt/own"),
        Path(),
        "gpu-cluster",
        JOB.environment,
        environment_variables={VARIABLE: "0"},
    )

    assert for_low_priority(given) == given


def test_a_resumed_run_has_a_folder_of_its_own_for_its_checkpoints() -> None:
    definition = build_request(for_low_priority(JOB))["Configuration"]

    job = resumed_job(definition, "exp", Path(), DatastorePath("store", "outputs of the other run", "mount"), [])

    assert job.command == (*JOB.command, "--resume", "{resume}")
    assert job.environment_variables == {}
    assert for_low_priority(job).command == (*job.command, "--checkpoint_dir", CHECKPOINT_PATH)


@pytest.mark.slow
@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_a_run_whose_node_was_taken_with_its_outputs_is_resumed(
    sdk: str, service: AzureMLEmulator, project: Path, tmp_path: Path
) -> None:
    """Azure takes the only node away; the run starts again, is cancelled there, and another run continues."""
    service.add_compute("spot", "Standard_NC24ads_A100_v4", 1, "LowPriority")
    user = Submitter(service, project, tmp_path / "home")
    training = ("--model", "slow_module.Slow", "--data", "datamodules.CIFAR10DataModule", "--checkpoint_every", "20")
    short = ("--num_epochs", "1", "--trainer.limit_train_batches", "400", "--trainer.limit_val_batches", "2")
    (project / ".amlignore").write_text("config.json\n.git/\n")

    with Worker(service, tmp_path / "jobs", 1, lambda line: None):
        sent = user.submit("run", "--compute", "spot", "--docker_image", "x:1", *training, *short, "--sdk", sdk)
        assert sent.status == 0, sent.err
        run_id = sent.out.split()[1]
        copies = tmp_path / "jobs" / run_id / "written" / "checkpoints" / "checkpoints" / "last.ckpt.json"
        until(lambda: copies.exists() and json.loads(copies.read_text())["step"] >= 40)
        service.announce_eviction([f"{run_id}_0"], 0, disk_is_kept=False)
        until(lambda: "Continuing from" in service.run(run_id).artifacts.get(LOG, b"").decode())
        cancelled = user.submit("cancel", run_id, "--sdk", sdk)
        until(lambda: f"lightning-azureml/{run_id}/checkpoints/last.ckpt.json" in service.datastore)
        resumed = user.submit("resume", run_id, "--wait", "--sdk", sdk)

    assert cancelled.out == f"{run_id} is being canceled.\n"
    assert resumed.status == 0, resumed.out + resumed.err
    found = re.search(r"^Continuing from .*, after .*\b(\d+) steps", resumed.out, re.MULTILINE)
    assert found is not None, resumed.out
    assert int(found[1]) >= 40
    assert "Finished: 1 epoch, 400 steps." in resumed.out
