"""A real MLflow server, read back by MLflow's own client: nothing is lost or doubled, whatever happens."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.service_faults import MLFLOW_FAULTS
from tests.lightning_app.test_delivery_faults import ARRIVES_AT_ONCE, DELIVER, ROWS, TRAINING
from tests.lightning_app.test_delivery_kills import sender_of
from tests.support.commands import Outcome, environment
from tests.support.jobs import journal_scalars
from tests.support.mlflow_server import FaultyProxy, mlflow_server

pytestmark = pytest.mark.slow

FAULTS = [name for name in MLFLOW_FAULTS if name != "one metric name rejected"]  # only the emulator can refuse a name
KILLS = 20
READ_BACK = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
found = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        history = lambda name: client.get_metric_history(run.info.run_id, name)
        values = {name: [(each.step, each.value) for each in history(name)] for name in run.data.metrics}
        files = [file.path for folder in client.list_artifacts(run.info.run_id) if folder.is_dir
                 for file in client.list_artifacts(run.info.run_id, folder.path)]
        found.append({"id": run.info.run_id, "experiment": experiment.name, "status": run.info.status, "values": values,
                      "params": run.data.params, "tags": run.data.tags, "files": files})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def proxy(address: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(address) as running:
        yield running


class Program:
    """Programs whose metrics go to the proxy, in an experiment of the test."""

    def __init__(self, proxy: FaultyProxy, address: str, folder: Path) -> None:
        self.proxy, self._address, self.folder = proxy, address, folder
        self.experiment = folder.name
        self._variables = {"MLFLOW_TRACKING_URI": proxy.url, "MLFLOW_EXPERIMENT_NAME": self.experiment}

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment() | self._variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> Outcome:
        process = self.start(*command)
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def runs(self) -> list[dict[str, Any]]:
        """What MLflow's own client reads, without the proxy."""
        done = subprocess.run(
            [sys.executable, "-c", READ_BACK, self._address],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        assert done.returncode == 0, done.stderr
        return [run for run in json.loads(done.stdout) if run["experiment"] == self.experiment]

    def scalars(self) -> dict[str, list[tuple[int, float]]]:
        (run,) = self.runs()
        return {name: sorted(map(tuple, values)) for name, values in run["values"].items()}

    def journal(self) -> dict[str, list[tuple[int, float]]]:
        return {name: sorted(values) for name, values in journal_scalars(self.folder / "outputs").items()}


@pytest.fixture
def program(proxy: FaultyProxy, address: str, tmp_path: Path) -> Program:
    return Program(proxy, address, tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_doubled(program: Program, fault: str) -> None:
    MLFLOW_FAULTS[fault](program.proxy)

    outcome = program.run("-c", TRAINING)

    assert outcome.status == 0
    assert len(program.journal()["train_loss"]) == ROWS
    if fault in ARRIVES_AT_ONCE:
        assert (outcome.err, program.scalars()) == ("", program.journal())
    else:
        assert re.search(r"undelivered; to deliver them: python -m lightning_app.deliver outputs$", outcome.err, re.M)

    program.proxy.stop()
    program.proxy.start()
    program.proxy.clear_faults()
    delivered = program.run(*DELIVER)

    assert (delivered.status, delivered.err) == (0, "")
    assert program.scalars() == program.journal()
    assert [run["status"] for run in program.runs()] == ["FINISHED"]
    assert program.run(*DELIVER).out.startswith("0 rows delivered to run ")
    assert program.scalars() == program.journal()


@pytest.mark.parametrize("victim", ["training", "sender"])
def test_kills_lose_and_double_nothing(program: Program, victim: str) -> None:
    moments = random.Random(2)  # noqa: S311 moments that can be repeated, not a secret
    for _ in range(KILLS):
        training = program.start("-c", TRAINING)
        journal = program.folder / "outputs" / "metrics.jsonl"
        before = journal.stat().st_size if journal.exists() else 0
        while not journal.exists() or journal.stat().st_size == before:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.1, 3.0))
        pid = training.pid if victim == "training" else sender_of(training.pid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        _, err = training.communicate(timeout=120)
        assert training.returncode == (-signal.SIGKILL if victim == "training" else 0), err

    delivered = program.run(*DELIVER)

    assert (delivered.status, delivered.err) == (0, "")
    assert program.scalars() == program.journal()
    assert len(program.runs()) == 1


LOGGED = """
import numpy
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
logger.log_hyperparams({"learning_rate": 0.1, "model": {"depth": 18}})
logger.log_metrics({"loss": 0.5, "nan": float("nan"), "inf": float("inf"), "a;b": 1.0, "größe": 1.0}, 3)
logger.log_metrics({"loss": 1e-300, "big": 1.7e308, "third": 1 / 3}, 2**40)
logger.log_image("photo", numpy.zeros((4, 4, 3)), 3)
logger.log_confusion_matrix("confusion", [[2, 0], [1, 3]], ["a", "b"], 3)
logger.log_table("sizes", {"a": [1, 2]}, 3)
"""


def test_everything_that_is_logged_is_read_back_by_mlflows_client(program: Program) -> None:
    outcome = program.run("-c", LOGGED)

    (run,) = program.runs()
    assert outcome.status == 0
    assert re.fullmatch(r"The metric 'a;b' is called 'a_b-[0-9a-f]{8}' at MLflow.\n", outcome.err)
    places = {name: [(step, value) for step, value in values] for name, values in run["values"].items()}
    assert sorted(places["loss"]) == [(3, 0.5), (2**40, 1e-300)]
    assert places["third"] == [(2**40, 1 / 3)]
    assert places["big"] == [(2**40, 1.7e308)]
    assert [(step, str(value)) for step, value in places["nan"]] == [(3, "nan")]
    assert places["inf"] == [(3, sys.float_info.max)]  # MLflow's database has no infinity
    (other,) = set(places) - {"loss", "third", "big", "nan", "inf", "größe"}
    assert re.fullmatch(r"a_b-[0-9a-f]{8}", other)
    assert run["params"] == {"learning_rate": "0.1", "model.depth": "18"}
    assert run["status"] == "FINISHED"
    stems = ("confusion", "photo", "sizes")
    assert {f"charts/{stem}-step3.json" for stem in stems} | {f"charts/{stem}-step3.png" for stem in stems[:2]} == set(
        run["files"]
    )


def test_a_server_that_takes_no_files_costs_a_line(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no_files")
    with (
        mlflow_server(folder, "--no-serve-artifacts", "--default-artifact-root", str(folder / "other")) as address,
        FaultyProxy(address) as proxy,
    ):
        program = Program(proxy, address, tmp_path)

        outcome = program.run("-c", LOGGED)

        assert outcome.status == 0
        (line,) = [line for line in outcome.err.splitlines() if "files" in line]
        assert line.startswith(f"MLflow: the server keeps files in {folder}/other")
        assert program.run(*DELIVER).status == 0
        assert program.runs()[0]["files"] == []
