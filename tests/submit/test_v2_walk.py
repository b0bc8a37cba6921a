"""All commands with ``--sdk v2`` and the unmodified azure-ai-ml, on one run that the emulator has carried out.

The job is a small script in place of the training; ``test_there_and_back`` has the real one, with both SDKs.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator
from submit.execution.sweeper import Sweeper
from submit.execution.worker import Worker
from tests.support.commands import Outcome
from tests.support.projects import write_files
from tests.support.submit_in_process import InProcess
from tests.support.submitters import TRAINING

FIT = """
import datetime, json, os, pathlib, sys, urllib.request, uuid

rate = float(sys.argv[sys.argv.index("--learning_rate") + 1]) if "--learning_rate" in sys.argv else 0.5
checkpoints = pathlib.Path("outputs/checkpoints")
checkpoints.mkdir(parents=True)
for name in ("best.ckpt", "last.ckpt"):
    (checkpoints / name).write_text(name)
(checkpoints / "best.json").write_text(json.dumps({"metrics": {"val_accuracy": rate}}))
scope = ("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}").format(
    *(os.environ["AZUREML_ARM_" + name] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")))
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
values = [
    {"metricId": str(uuid.uuid4()), "createdUtc": now, "step": step, "data": {"val_accuracy": rate * step}}
    for step in range(2)
]
metric = {"name": "val_accuracy", "columns": {"val_accuracy": "double"}, "value": values}
metric["properties"] = {"uxMetricType": "azureml.v1.scalar"}
address = os.environ["AZUREML_SERVICE_ENDPOINT"] + f"/metric/v2.0{scope}/runs/{os.environ['AZUREML_RUN_ID']}/batch"
headers = {"Authorization": "Bearer " + os.environ["AZUREML_RUN_TOKEN"], "Content-Type": "application/json"}
body = json.dumps({"values": [metric], "reportErrors": True}).encode()
urllib.request.urlopen(urllib.request.Request(address, body, headers))
pathlib.Path("outputs/config.yaml").write_text("model: CifarNet")
pathlib.Path("outputs/metrics.jsonl").write_text("")
if "--checkpoint_dir" in sys.argv:
    copies = pathlib.Path(sys.argv[sys.argv.index("--checkpoint_dir") + 1], "checkpoints")
    copies.mkdir()
    (copies / "last.ckpt").write_text("last.ckpt")
print(*sys.argv[1:])
print("Finished", sorted(os.listdir(sys.argv[sys.argv.index("--data_path") + 1])), flush=True)
"""
JOB = ("--docker_image", "x:1", "--source_directory", "training", "--compute", "small")
CLUSTER = ("--name", "small", "--vm_size", "Standard_NC4as_T4_v3", "--max_nodes", "2")


@dataclass
class Walk:
    """A user, and a run that was sent with uploaded data, and has ended."""

    user: InProcess
    uploaded: Outcome
    created: Outcome
    sent: Outcome

    @property
    def run(self) -> str:
        return self.sent.out.split()[1]

    def submit(self, *arguments: str) -> Outcome:
        return submit(self.user, *arguments)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.submit(*arguments, "--json").out)


def submit(user: InProcess, *arguments: str) -> Outcome:
    outcome = user.submit(*arguments, "--sdk", "v2")
    assert outcome.status == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    files = {name: content.encode() for name, content in TRAINING.items()}
    write_files(folder / "training", files | {"lightning_app/fit.py": FIT.encode()})
    write_files(folder / "images", {"a.jpg": b"a", "b.jpg": b"b"})
    with (
        AzureMLEmulator() as service,
        Worker(service, folder / "jobs", 2, lambda line: None),
        Sweeper(service),
    ):
        service.set_creation_time(0)
        user = InProcess(service, folder)
        uploaded = submit(user, "upload", "--src", "images", "--target", "data/images", "--name", "images")
        created = submit(user, "compute", *CLUSTER)
        sent = submit(user, "run", *JOB, "--dataset", "images:1", "--tag", "team=x", "--wait")
        yield Walk(user, uploaded, created, sent)
        assert service.unknown == []


def test_upload_registers_a_version_for_the_flag_dataset(walk: Walk) -> None:
    again = walk.submit("upload", "--src", "images", "--target", "data/images", "--name", "images")
    plain = walk.submit("upload", "--src", "images", "--target", "data/images")
    write_files(walk.user.folder / "more", {"c.jpg": b"c"})
    growing = [
        walk.submit("upload", "--src", source, "--target", "data/growing", "--name", "growing")
        for source in ("images", "more")
    ]

    assert (
        walk.uploaded.out == "Sent 2 files (2 B); skipped 0 files (0 B), which existed already.\n--dataset images:1\n"
    )
    assert again.out.splitlines()[-1] == "--dataset images:1"  # nothing was sent, so it is what it was
    assert [each.out.splitlines()[-1] for each in growing] == ["--dataset growing:1", "--dataset growing:2"]
    assert plain.out.splitlines()[-1] == "--dataset data/images"


def test_a_version_never_becomes_another_folder(walk: Walk) -> None:
    upload = ("upload", "--src", "images", "--target", "data/elsewhere")

    refused = walk.user.submit(*upload, "--name", "images:1", "--sdk", "v2")
    chosen = walk.submit(*upload, "--name", "images:9")

    assert (refused.status, refused.out) == (2, "")
    address = "azureml://datastores/workspaceblobstore/paths/data/images"
    assert refused.err.startswith(f"error: --name images:1: is {address} already, and a version doesn't change; ")
    assert chosen.out.splitlines()[-1] == "--dataset images:9"


def test_compute_finds_what_it_has_created(walk: Walk) -> None:
    again = walk.submit("compute", *CLUSTER)

    assert walk.created.out == "small is created: Standard_NC4as_T4_v3, 0 to 2 nodes, dedicated\n"
    assert again.out == walk.created.out.replace("is created", "exists")


def test_run_with_wait_prints_the_log_and_ends_with_the_run(walk: Walk) -> None:
    run, portal, *lines = walk.sent.out.splitlines()

    assert run.startswith("Run lightning-azureml_")
    assert portal.startswith("https://ml.azure.com/runs/")
    assert "Finished ['a.jpg', 'b.jpg']" in lines
    assert "] Completed after " in lines[-1]


def test_status_has_the_last_value_of_each_metric(walk: Walk) -> None:
    status = walk.json("status", walk.run)

    assert (status["status"], status["nodes"], status["metrics"]) == ("Completed", 1, {"val_accuracy": 0.5})
    assert "\nmetric val_accuracy  0.5\n" in walk.submit("status", walk.run).out


def test_list_has_the_runs_of_one_experiment(walk: Walk) -> None:
    other = walk.submit("run", *JOB, "--dataset", "images:1", "--experiment", "other").out.split()[1]

    assert [each["run"] for each in walk.json("list", "--experiment", "other")] == [other]
    found = next(each for each in walk.json("list") if each["run"] == walk.run)
    assert (found["status"], found["tags"]["team"]) == ("Completed", "x")
    assert found["created"] <= found["started"] <= found["ended"]
    missing = walk.user.submit("list", "--experiment", "oter", "--sdk", "v2")
    assert missing.err.startswith("error: --experiment 'oter': the workspace has no such experiment; it has ")
    assert "other" in missing.err


def test_logs_and_what_follows_them(walk: Walk) -> None:
    log, followed = walk.submit("logs", walk.run), walk.submit("logs", walk.run, "--follow")

    assert log.out.splitlines()[-1] == "Finished ['a.jpg', 'b.jpg']"
    assert (followed.out, followed.err) == (log.out, "The run has ended: Completed.\n")
    assert walk.submit("logs", walk.run, "--list").out == "user_logs/std_log_process_0.txt\n"


def test_download_and_register_find_the_checkpoints(walk: Walk) -> None:
    walk.submit("download", walk.run, "--what", "checkpoints", "--target", "here")
    model = walk.json("register", walk.run, "--name", "net")

    here = walk.user.folder / "here" / "outputs"
    assert sorted(path.name for path in here.iterdir()) == ["checkpoints", "config.yaml"]
    assert (here / "checkpoints" / "last.ckpt").read_text() == "last.ckpt"
    assert (model["version"], model["checkpoint"]) == (1, "outputs/checkpoints/best.ckpt")
    assert model["tags"]["val_accuracy"] == "0.5"


def test_resume_sends_the_same_job_with_the_outputs_of_the_run(walk: Walk) -> None:
    resumed = walk.submit("resume", walk.run, "--num_epochs", "5", "--source_directory", "training", "--wait")

    flags = next(line for line in resumed.out.splitlines() if "--num_epochs 5" in line)
    assert flags.split()[-2] == "--resume"
    assert "Finished ['a.jpg', 'b.jpg']" in resumed.out
    assert "] Completed after " in resumed.out.splitlines()[-1]


def test_resume_takes_the_copies_of_a_low_priority_job_that_has_lost_its_outputs(walk: Walk) -> None:
    walk.submit("compute", "--name", "spot", *CLUSTER[2:], "--low_priority")
    lost = walk.submit("run", *JOB[:-1], "spot", "--dataset", "images:1", "--wait").out.split()[1]
    flags = ("--num_epochs", "5", "--source_directory", "training", "--wait")

    from_outputs = walk.submit("resume", lost, *flags)
    copies = f"lightning-azureml/{lost}"
    walk.user.service.add_datastore_file(f"{copies}/checkpoints/last.ckpt.json", b'{"step": 7}')
    from_copies = walk.submit("resume", lost, *flags)

    first, second = (job.definition["properties"] for job in walk.user.service.jobs[-2:])
    assert first["inputs"]["resume"]["uri"].endswith(f"/paths/ExperimentRun/dcid.{lost}/outputs")
    assert second["inputs"]["resume"]["uri"].endswith(f"/datastores/workspaceblobstore/paths/{copies}")
    assert first["outputs"]["checkpoints"]["uri"].endswith("/paths/lightning-azureml/${{name}}")
    assert "continues from the copies" not in from_outputs.err
    message = f"note: it continues from the copies in {copies}, which have more steps than the outputs\n"
    assert message in from_copies.err
    assert "Finished ['a.jpg', 'b.jpg']" in from_copies.out


def test_cancel_ends_a_run_and_says_when_it_has_ended(walk: Walk) -> None:
    assert walk.submit("cancel", walk.run).out == f"{walk.run} has already ended: Completed.\n"


def test_a_sweep_and_the_list_of_its_runs_the_best_one_first(walk: Walk) -> None:
    space = ("--param", "learning_rate=choice(0.1,0.3,0.2)", "--sampling", "grid")
    objective = ("--metric", "val_accuracy", "--goal", "maximize", "--policy", "bandit", "--slack_factor", "9")
    dataset = ("--dataset", "images:1")

    sweep = walk.submit("sweep", *space, *objective, *JOB, *dataset).out.split()[1]

    deadline = time.monotonic() + 60
    while walk.json("status", sweep)["status"] != "Completed":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = walk.json("list", "--sweep", sweep)
    assert [each["hyperparameters"]["learning_rate"] for each in found] == [0.3, 0.2, 0.1]
    assert [each["metrics"]["val_accuracy"] for each in found] == [0.3, 0.2, 0.1]
    heading, *rows = walk.submit("list", "--sweep", sweep).out.splitlines()
    assert heading.split() == ["RUN", "STATUS", "DURATION", "learning_rate", "val_accuracy"]
    assert [row.split()[0] for row in rows] == [each["run_id"] for each in found]
    sent = walk.user.service.sweeps[-1].definition["properties"]["earlyTermination"]
    assert (sent["policyType"], sent["slackFactor"], sent["evaluationInterval"]) == ("Bandit", 9, 1)
