"""Runs that were sent, as the user sees, ends and registers them, against the loopback Azure ML."""

import http.client
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import ROOT, environment
from tests.support.submitters import Submitter

pytestmark = pytest.mark.slow

BEST = "outputs/checkpoints/best.ckpt"
LAST = "outputs/checkpoints/last.ckpt"
BEST_METRICS = "outputs/checkpoints/best.json"
HISTORY_METRICS = (
    "/metric/v2.0/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/emulator"
    "/providers/Microsoft.MachineLearningServices/workspaces/emulator/runs/{run}/batch"
)


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path).with_training()


def log(service: AzureMLEmulator, run: str, **metrics: list[float]) -> None:
    """Posts the metrics as a job does."""
    values = [
        {
            "name": name,
            "columns": {name: "double"},
            "value": [
                {
                    "metricId": str(uuid.uuid4()),
                    "createdUtc": f"2026-11-20T22:00:{step:02}.5Z",
                    "step": step,
                    "data": {name: value},
                }
                for step, value in enumerate(row)
            ],
            "properties": {"uxMetricType": "azureml.v1.scalar"},
        }
        for name, row in metrics.items()
    ]
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    body, headers = json.dumps({"values": values}), {"Authorization": f"Bearer {service.user_token()}"}
    connection.request("POST", HISTORY_METRICS.format(run=run), body, headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_status_shows_where_a_run_is_and_its_last_metrics(submitter: Submitter) -> None:
    run = submitter.send("--nodes", "2", "--processes_per_node", "1", "--launcher", "mpi")
    submitter.service.set_run_status(run, "Running")
    log(submitter.service, run, val_loss=[0.9, 0.25], train_loss=[1.5])

    shown, data = submitter.submit("status", run), submitter.submit("status", run, "--json")

    assert (shown.status, shown.err, data.err) == (0, "", "")
    rows = dict(line.split("  ", 1) for line in shown.out.splitlines())
    assert {name: text.strip() for name, text in rows.items()}.items() >= {
        "run": run,
        "status": "Running",
        "compute": "gpu-cluster",
        "nodes x processes": "2 x 1",
        "metric val_loss": "0.25",
        "metric train_loss": "1.5",
    }.items()
    content = json.loads(data.out)
    assert (content["status"], content["nodes"], content["processes_per_node"]) == ("Running", 2, 1)
    assert content["metrics"] == {"train_loss": 1.5, "val_loss": 0.25}
    assert content["portal"].startswith("http")
    assert content["duration_seconds"] >= 0


def test_status_says_why_a_run_has_failed(submitter: Submitter) -> None:
    run = submitter.add_run({})
    submitter.service.set_run_status(run, "Failed", "exit code 1\nfrom rank 3")

    outcome = submitter.submit("status", run)

    assert "error              exit code 1 from rank 3" in outcome.out.splitlines()


def test_list_shows_the_newest_runs_first(submitter: Submitter) -> None:
    runs = [submitter.add_run({}, status) for status in ("Completed", "Failed", "Running")]

    shown, data = submitter.submit("list", "--limit", "2"), submitter.submit("list", "--json")

    assert [line.split()[:2] for line in shown.out.splitlines()] == [
        ["RUN", "STATUS"],
        [runs[2], "Running"],
        [runs[1], "Failed"],
    ]
    assert [entry["run"] for entry in json.loads(data.out)] == runs[::-1]


def test_an_experiment_that_is_not_there_is_not_made_by_asking_for_its_runs(submitter: Submitter) -> None:
    run = submitter.add_run({})

    outcome = submitter.submit("list", "--experiment", "cifr")

    message = "error: --experiment 'cifr': the workspace has no such experiment; it has lightning-azureml\n"
    assert (outcome.status, outcome.out, outcome.err) == (2, "", message)
    assert submitter.submit("list").out.count(run) == 1


def test_cancel_ends_a_run_once(submitter: Submitter) -> None:
    run = submitter.send()
    submitter.service.set_run_status(run, "Running")

    first, second = submitter.submit("cancel", run), submitter.submit("cancel", run)

    assert (first.status, first.out, first.err) == (0, f"{run} is being canceled.\n", "")
    assert submitter.service.run(run).status == "Canceled"
    assert (second.status, second.out) == (0, f"{run} has already ended: Canceled.\n")


def test_register_makes_the_best_checkpoint_a_model_with_metrics_and_origin(submitter: Submitter) -> None:
    of_best = {"epoch": 1, "metrics": {"val_loss": 0.25, "val_accuracy": 0.75}}
    run = submitter.add_run({BEST: b"best", LAST: b"last", BEST_METRICS: json.dumps(of_best).encode()})
    log(submitter.service, run, val_loss=[0.25, 0.9], val_accuracy=[0.75, 0.5], test_loss=[0.3])

    shown = submitter.submit("register", run, "--name", "cifar", "--description", "for the demo")
    data = submitter.submit("register", run, "--name", "cifar", "--json")

    assert (shown.status, shown.err, data.err) == (0, "", "")
    assert [line.split() for line in shown.out.splitlines()][:2] == [["model", "cifar"], ["version", "1"]]
    assert json.loads(data.out)["version"] == 2
    model = submitter.service.models[0]
    assert (model.run_id, model.description) == (run, "for the demo")
    assert model.artifacts == (f"ExperimentRun/dcid.{run}/{BEST}",)
    assert model.tags == {
        "run_id": run,
        "experiment": "lightning-azureml",
        "checkpoint": BEST,
        "val_loss": "0.25",
        "val_accuracy": "0.75",
        "test_loss": "0.3",
    }


def test_without_the_metrics_of_the_best_checkpoint_only_single_values_are_taken(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: b"best", LAST: b"last"})
    log(submitter.service, run, val_loss=[0.25, 0.9], parameters=[62006.0], test_loss=[0.3])

    submitter.submit("register", run, "--name", "cifar")

    tags = submitter.service.models[0].tags
    assert {name: tags[name] for name in tags if name not in ("run_id", "experiment", "checkpoint")} == {
        "parameters": "62006",
        "test_loss": "0.3",
    }


def test_a_model_has_as_many_tags_as_it_may(submitter: Submitter) -> None:
    run = submitter.add_run({LAST: b"last"})
    log(submitter.service, run, **{f"layer{number}": [1.0] for number in range(48)}, val_acc=[0.5], test_acc=[0.6])

    outcome = submitter.submit("register", run, "--name", "cifar")

    tags = submitter.service.models[0].tags
    assert (outcome.status, len(tags)) == (0, 50)
    assert (tags["checkpoint"], tags["val_acc"], tags["test_acc"]) == (LAST, "0.5", "0.6")
    assert outcome.err.startswith("warning: a model has 50 tags at most; not stored as tags: layer")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["outputs/mine"], "outputs/mine"),
        (["outputs", "outputs/retry_001", "outputs/retry_002"], "outputs/retry_002"),
        (["outputs/mine", "outputs/mine/previous/1", "outputs/retry_001/mine"], "outputs/retry_001/mine"),
    ],
)
def test_the_checkpoint_of_the_last_attempt_is_registered_whatever_the_output_dir(
    submitter: Submitter, folders: list[str], expected: str
) -> None:
    files = {}
    for number, folder in enumerate(folders):
        files[f"{folder}/checkpoints/best.ckpt"] = b"best"
        files[f"{folder}/checkpoints/best.json"] = b'{"metrics": {"val_loss": %d}}' % number
    run = submitter.add_run(files)

    done = submitter.submit("register", run, "--name", "cifar")

    assert (done.status, done.err) == (0, "")
    model = submitter.service.models[0]
    assert model.artifacts == (f"ExperimentRun/dcid.{run}/{expected}/checkpoints/best.ckpt",)
    assert model.tags["val_loss"] == str(folders.index(expected))


@pytest.mark.parametrize(
    ("files", "status", "name", "message"),
    [
        (
            {"outputs/a/checkpoints/last.ckpt": b"", "outputs/b/checkpoints/last.ckpt": b""},
            "Completed",
            "cifar",
            "has the checkpoints of several trainings, in outputs/a, outputs/b; download them, export one, and",
        ),
        ({}, "Completed", "cifar", "has no checkpoint; expected outputs/checkpoints/best.ckpt or outputs/checkpoints/"),
        ({BEST: b""}, "Running", "cifar", "is Running; its metrics are final only when it has ended"),
        ({BEST: b""}, "Completed", "my model", "--name 'my model': expected letters, digits, '-', '.' and '_'"),
    ],
)
def test_what_cannot_be_registered_is_reported(
    submitter: Submitter, files: dict[str, bytes], status: str, name: str, message: str
) -> None:
    outcome = submitter.submit("register", submitter.add_run(files, status), "--name", name)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert submitter.service.models == []


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "download", "register --name m"])
def test_a_run_that_is_not_there_is_one_line(submitter: Submitter, command: str) -> None:
    name, *flags = command.split()

    outcome = submitter.submit(name, "nobody_1_2", *flags)

    message = "error: RUN 'nobody_1_2': the workspace 'emulator' has no such run; python -m submit list shows its runs"
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(message)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.status(400, "/history/"), "(InjectedFault) fault injection: status 400"),
        (Fault.status(403, "/history/"), "Operation returned an invalid status code 'Forbidden'"),
    ],
)
def test_a_service_that_refuses_is_one_line_and_status_1(submitter: Submitter, fault: Fault, reason: str) -> None:
    run = submitter.add_run({})
    submitter.service.inject(fault)

    outcome = submitter.submit("status", run)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert outcome.err.startswith(f"error: run {run}: ")
    assert reason in outcome.err


@pytest.mark.parametrize("command", ["status", "list", "logs", "cancel", "download", "register", "run"])
def test_help_needs_no_azureml(command: str) -> None:
    program = (
        "import sys; from submit.main import main\n"
        f"try: main([{command!r}, '--help'])\n"
        "except SystemExit: print('azureml' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "False")
