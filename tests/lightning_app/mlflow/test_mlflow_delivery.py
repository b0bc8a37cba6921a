"""Rows, parameters, tags and charts, delivered once by MLflow's interface to a run of the emulator."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lightning_app.azureml import delivery_log
from lightning_app.azureml.charts import Charts
from lightning_app.azureml.hyperparameters import merge_hyperparameters
from lightning_app.azureml.journal import Journal
from lightning_app.azureml.service import DeliveryError
from lightning_app.run_folder import RunFolder
from submit.emulator import AzureMLEmulator, Fault
from submit.emulator.state import Run
from tests.support.jobs import journal_scalars
from tests.support.mlflow_jobs import Delivery


class Case:
    """A run of the emulator, and the folder of the job that logs to it."""

    def __init__(self, service: AzureMLEmulator, uri: str, run_id: str, folder: Path) -> None:
        self.service, self._uri, self.run_id = service, uri, run_id
        self.folder = RunFolder(folder)
        self.delivery = Delivery(uri, self.folder, run_id)

    @property
    def run(self) -> Run:
        return self.service.run(self.run_id)

    def scalars(self) -> dict[str, list[tuple[int | None, float]]]:
        return {name: [(row.step, row.data[name]) for row in rows] for name, rows in self.run.metrics.items()}

    def requests(self, path: str) -> int:
        return sum(path in request.path for request in self.service.requests)

    def is_whole(self) -> bool:
        """Whether the run has what the journal has, each value once."""
        return self.scalars() == journal_scalars(self.folder.root)


@pytest.fixture
def case(service: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    run = service.new_run()
    for name, value in service.v2_job_environment(run.id, tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    uri = service.v2_job_environment(run.id, tmp_path / "home")["MLFLOW_TRACKING_URI"]
    return Case(service, uri, run.id, tmp_path / "outputs")


def rows(first: int, last: int) -> dict[int, dict[str, float]]:
    return {step: {"loss": 1 / (step + 1), "accuracy": step / 1000} for step in range(first, last)}


def test_each_value_arrives_once_with_its_step_and_its_time(case: Case) -> None:
    case.delivery.log(rows(0, 600))

    case.delivery.deliver()

    assert case.is_whole()
    logged = [json.loads(line)["time"] for line in case.folder.journal.read_text().splitlines()]
    arrived = [row.created.isoformat(timespec="milliseconds") for row in case.run.metrics["loss"]]
    shifted = sum(arrived[place] != logged[place] for place in range(600))
    assert (arrived, shifted) == (logged, 0)
    assert case.requests("/log-batch") == 5 + 2  # with the tags that say where the journal began


def test_rows_of_one_name_and_step_and_millisecond_are_values_of_their_own(case: Case) -> None:
    journal = Journal(case.folder, case.run_id)
    for _ in range(50):
        journal.append(7, None, {"loss": 0.5})
    case.service.inject(Fault.drop("/log-batch", handled=True, times=4))

    case.delivery.deliver()

    assert case.scalars() == {"loss": [(7, 0.5)] * 50}
    times = [row.created for row in case.run.metrics["loss"]]
    assert len(set(times)) == 50


@pytest.mark.parametrize("seed", range(6))
def test_lost_answers_lose_and_double_nothing(case: Case, seed: int) -> None:
    case.service.inject(Fault.drop("/mlflow/", 0.4, seed=seed, handled=None))
    for part in range(3):
        case.delivery.log(rows(400 * part, 400 * (part + 1)))
        case.delivery.deliver(at_most=300)

    assert case.is_whole()
    assert case.requests("/metrics/get-history") > 0


def test_a_long_history_is_asked_for_in_pages(case: Case) -> None:
    case.delivery.log(rows(0, 2600))
    case.delivery.deliver()
    case.delivery.log(rows(2600, 2700))
    case.service.inject(Fault.drop("/log-batch", handled=True, times=1))

    case.delivery.deliver()

    assert case.is_whole()
    assert case.requests("/metrics/get-history") == 2 * 3


def test_the_service_decides_when_it_is_asked_again(case: Case) -> None:
    case.delivery.log(rows(0, 10))
    case.service.inject(Fault.status(429, "/log-batch", times=1, retry_after=7))

    with pytest.raises(DeliveryError, match=r"^429: fault injection") as caught:
        case.delivery.deliver(at_most=1)

    assert (caught.value.retry_after, caught.value.unconfirmed) == (7.0, False)
    case.delivery.deliver()
    assert case.is_whole()


def test_a_refused_metric_blocks_no_other_and_is_delivered_when_it_is_accepted(case: Case) -> None:
    case.service.inject(Fault.reject_metric("loss"))
    case.delivery.log(rows(0, 300))
    case.delivery.deliver()
    assert {name: len(values) for name, values in case.scalars().items()} == {"accuracy": 300}
    assert len(case.delivery.messages) == 1
    assert "Azure ML refuses the metric 'loss' (400: a fault rejects the metric 'loss')" in case.delivery.messages[0]

    case.service.clear_faults()
    case.delivery.deliver()

    assert {name: sorted(values) for name, values in case.scalars().items()} == journal_scalars(case.folder.root)


def test_names_become_what_mlflow_accepts_and_stay_apart(case: Case) -> None:
    names = ["a b", "a/b", "a//b", "/a", "../a", "a:b", "a;b", "größe", "n" * 300, "n" * 301, "Loss", "loss", "loss "]
    case.delivery.log({0: {name: float(number) for number, name in enumerate(names)}})

    case.delivery.deliver()

    found = case.scalars()
    assert sorted(value for values in found.values() for _, value in values) == [float(n) for n in range(len(names))]
    assert {"a b", "a/b", "Loss"} <= set(found)
    assert max(map(len, found)) == 250


def test_values_that_are_no_numbers_stay_in_the_journal_and_are_counted(case: Case) -> None:
    case.delivery.log({0: {"loss": 0.5}, 1: {"loss": float("nan")}, 2: {"loss": float("inf")}})

    case.delivery.deliver()

    assert case.scalars() == {"loss": [(0, 0.5)]}
    assert case.run.tags["nonfinite_metrics"] == "loss 2"


def test_hyperparameters_are_parameters_and_those_of_a_second_training_have_names_of_their_own(case: Case) -> None:
    merge_hyperparameters(case.folder.hyperparameters, {}) if case.folder.root.exists() else case.folder.root.mkdir()
    merge_hyperparameters(
        case.folder.hyperparameters, {"learning_rate": 0.1, "model": {"depth": 18}, "long": "x" * 900}
    )
    case.delivery.log(rows(0, 3))
    case.delivery.deliver()
    assert case.run.params == {"learning_rate": "0.1", "model.depth": "18", "long": "x" * 497 + "..."}

    case.folder.archive_logged()
    merge_hyperparameters(case.folder.hyperparameters, {"learning_rate": 0.2, "model": {"depth": 18}})
    case.delivery.log(rows(0, 3))
    case.delivery.deliver()

    assert case.run.params["run2.learning_rate"] == "0.2"
    assert len(case.run.params) == 4
    assert len(case.scalars()["loss"]) == 6


def test_more_parameters_than_a_run_can_have_are_in_the_file(case: Case) -> None:
    case.folder.root.mkdir()
    merge_hyperparameters(case.folder.hyperparameters, {f"p{number}": number for number in range(230)})
    case.delivery.log(rows(0, 3))

    case.delivery.deliver()

    assert len(case.run.params) == 200
    expected = f"Azure ML accepts 200 parameters per run; 30 hyperparameters are only in {case.folder.hyperparameters}."
    assert case.delivery.messages == [expected]


def test_charts_are_files_of_the_run(case: Case) -> None:
    case.delivery.log(rows(0, 3))
    charts = Charts(case.folder.charts)
    charts.image("photo", [[0, 255], [255, 0]], 3)
    charts.confusion_matrix("confusion", [[2, 0], [1, 3]], ["a", "b"], 3)
    case.service.inject(Fault.drop("/artifacts/batch/metadata", handled=True, times=1))

    case.delivery.deliver()

    files = {path: content for path, content in case.run.artifacts.items() if content}
    assert any(path.startswith("charts/photo-step3") and content[:4] == b"\x89PNG" for path, content in files.items())
    matrix = json.loads(next(content for path, content in files.items() if path == "charts/confusion-step3.json"))
    assert matrix == {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": ["a", "b"], "matrix": [[2, 0], [1, 3]]},
    }
    assert set(case.delivery.uploader()._log.charts.values()) == {"sent"}


def lost(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The node's disk is gone, and the job starts again on another one, later."""
    shutil.rmtree(case.folder.root)
    time.sleep(0.005)


def test_a_job_that_starts_again_on_an_empty_disk_sends_nothing_twice(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case.delivery.log(rows(0, 300))
    case.delivery.deliver()
    lost(case, monkeypatch, tmp_path)

    case.delivery.log(rows(0, 200))
    case.delivery.deliver()
    case.delivery.log(rows(200, 500))
    case.delivery.deliver()
    case.delivery.deliver()

    assert {name: len(values) for name, values in case.scalars().items()} == {"loss": 500, "accuracy": 500}
    assert case.is_whole()


def test_a_second_training_of_the_job_in_the_same_folder_is_sent_whole(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case.delivery.log(rows(0, 100))
    case.delivery.deliver()
    case.folder.archive_logged()
    time.sleep(0.005)
    case.delivery.log(rows(0, 100))
    case.delivery.deliver()
    assert Counter(step for step, _ in case.scalars()["loss"]) == dict.fromkeys(range(100), 2)

    lost(case, monkeypatch, tmp_path)
    case.delivery.log(rows(0, 100))
    case.delivery.deliver()
    case.folder.archive_logged()
    time.sleep(0.005)
    case.delivery.log(rows(0, 150))
    case.delivery.deliver()

    expected = dict.fromkeys(range(100), 2) | dict.fromkeys(range(100, 150), 1)
    assert Counter(step for step, _ in case.scalars()["loss"]) == expected


def test_a_journal_that_comes_back_without_its_log_is_not_sent_again(case: Case) -> None:
    case.delivery.log(rows(0, 300))
    case.delivery.deliver()
    case.folder.delivery_log.unlink()
    time.sleep(0.005)
    case.delivery.log(rows(300, 400))

    case.delivery.deliver()

    assert case.is_whole()


def test_another_folder_of_the_run_has_names_of_its_own(case: Case, tmp_path: Path) -> None:
    second = RunFolder(tmp_path / "outputs" / "fold2")
    case.delivery.log(rows(0, 3))
    Journal(second, case.run_id, "outputs").append(0, None, {"loss": 2.0})
    case.delivery.deliver()
    messages = Delivery(case.delivery.tracking_uri, second, case.run_id)

    messages.deliver()

    assert case.scalars()["fold2/loss"] == [(0, 2.0)]
    assert case.run.tags["metrics_folder"] == "outputs"


@pytest.mark.parametrize("what", ["expires", "is revoked"])
def test_a_token_is_renewed_before_it_expires(
    case: Case, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring = case.service.v2_job_environment(case.run_id, tmp_path / "home", token_seconds=60)
    monkeypatch.setenv("AZUREML_RUN_TOKEN", expiring["AZUREML_RUN_TOKEN"])
    if what == "is revoked":
        case.service.revoke_tokens()
    case.delivery.log(rows(0, 10))

    case.delivery.deliver()

    assert case.is_whole()
    assert case.requests("/token") > 0


def test_what_was_sent_is_known_after_a_crash_at_any_line_of_the_log(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that dies between a request and its line in the log."""
    case.delivery.log(rows(0, 900))
    real = delivery_log.DeliveryLog._append
    for crash in range(1, 12):
        calls: list[Any] = []

        def append(log: Any, line: dict[str, Any], crash: int = crash, calls: list[Any] = calls) -> None:
            calls.append(line)
            if len(calls) == crash:
                raise KeyboardInterrupt
            real(log, line)

        monkeypatch.setattr(delivery_log.DeliveryLog, "_append", append)
        case.delivery.log(rows(900 + 300 * crash, 1200 + 300 * crash))
        with pytest.raises(KeyboardInterrupt):
            case.delivery.deliver()
        monkeypatch.setattr(delivery_log.DeliveryLog, "_append", real)

    case.delivery.deliver()

    assert case.is_whole()
