"""A run that is created at a server for a run folder: once, and continued by whoever continues in the folder."""

import json
from pathlib import Path

import pytest

from lightning_app.azureml.mlflow.remembered_run import note_status, read_created
from lightning_app.run_folder import RunFolder
from submit.emulator import AzureMLEmulator, Fault
from submit.emulator.state import Run
from submit.emulator.workspace import SCOPE
from tests.support.jobs import journal_scalars
from tests.support.mlflow_jobs import Delivery

EXPERIMENT = "own experiment"


@pytest.fixture
def server(service: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLEmulator:
    """The emulator, at an address that says nothing of Azure."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", service.user_token())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return service


@pytest.fixture
def delivery(server: AzureMLEmulator, tmp_path: Path) -> Delivery:
    return Delivery(f"{server.url}/mlflow/v2.0{SCOPE}", RunFolder(tmp_path / "outputs"), None)


def runs(server: AzureMLEmulator) -> list[Run]:
    return [run for run in server._state.runs.values() if run.experiment == EXPERIMENT]


@pytest.mark.parametrize("handled", [True, False])
@pytest.mark.parametrize("path", ["/runs/create", "/experiments/create", "/mlflow/"])
def test_it_is_created_once_whatever_answer_is_lost(
    server: AzureMLEmulator, delivery: Delivery, path: str, handled: bool
) -> None:
    server.inject(Fault.drop(path, handled=handled, times=3))
    delivery.log({step: {"loss": step / 10} for step in range(10)})

    delivery.deliver()

    assert len(runs(server)) == 1
    stored = {name: [(row.step, row.data[name]) for row in rows] for name, rows in runs(server)[0].metrics.items()}
    assert stored == journal_scalars(delivery.folder.root)


def test_a_training_that_continues_in_the_folder_continues_the_run_and_a_new_one_gets_its_own(
    server: AzureMLEmulator, delivery: Delivery
) -> None:
    delivery.log({0: {"loss": 0.5}})
    delivery.deliver()
    delivery.log({1: {"loss": 0.4}})
    delivery.deliver()
    assert [len(run.metrics["loss"]) for run in runs(server)] == [2]

    delivery.folder.archive_logged()
    delivery.log({0: {"loss": 0.5}})
    delivery.deliver()

    assert [len(run.metrics["loss"]) for run in runs(server)] == [2, 1]


def test_another_server_gets_a_run_of_its_own(server: AzureMLEmulator, delivery: Delivery) -> None:
    delivery.log({0: {"loss": 0.5}})
    delivery.deliver()

    with_slash = Delivery(f"{delivery.tracking_uri}/", delivery.folder, None)
    with_slash.deliver()
    elsewhere = Delivery(delivery.tracking_uri.replace("127.0.0.1", "localhost"), delivery.folder, None)
    elsewhere.deliver()

    assert [len(run.metrics["loss"]) for run in runs(server)] == [1, 1]


@pytest.mark.parametrize(("status", "shown"), [("FINISHED", "Completed"), ("FAILED", "Failed"), ("KILLED", "Canceled")])
def test_how_training_ended_is_reported_once_and_taken_back_when_it_continues(
    server: AzureMLEmulator, delivery: Delivery, status: str, shown: str
) -> None:
    delivery.log({0: {"loss": 0.5}})
    note_status(delivery.folder, status)
    delivery.deliver()
    assert [run.status for run in runs(server)] == [shown]

    note_status(delivery.folder, "RUNNING")
    delivery.deliver()
    delivery.deliver()

    assert [run.status for run in runs(server)] == ["Running"]
    assert sum("/runs/update" in request.path for request in server.requests) == 2


def test_a_half_written_line_about_the_run_is_left_out(server: AzureMLEmulator, delivery: Delivery) -> None:
    delivery.log({0: {"loss": 0.5}})
    delivery.deliver()
    known = read_created(delivery.folder)
    with delivery.folder.mlflow_run.open("a") as file:
        file.write(json.dumps({"run_id": "other"})[:9])

    note_status(delivery.folder, "FINISHED")

    assert read_created(delivery.folder) | {"at": 0} == known | {"status": "FINISHED", "at": 0}
