"""No client of Azure ML or MLflow is needed, and in a job whose metrics go by MLflow none is imported."""

import json
import subprocess
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.bare_python import make_bare_python, names_what_is_imported
from tests.support.commands import ROOT, Outcome
from tests.support.jobs import Job, journal_scalars
from tests.support.mlflow_jobs import MlflowJob

LOGGED = """
import sys
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
for step in range(10):
    logger.log_metrics({"a": float(step)}, step)
logger.log_image("photo", [[0, 255], [255, 0]], 3)
logger.close()
print([name for name in sys.modules if name.startswith(("azureml.", "mlflow"))])
"""
ASKS_FOR_CORE = """
import importlib.util, pathlib
from lightning_app.errors import UsageError
try:
    logger.experiment.log("a", 1)
except UsageError as error:
    print(error)
print(pathlib.Path("imported").exists())
importlib.util.find_spec("azureml.core")  # which the recorder sees
"""
DELIVER = ("-m", "lightning_app.deliver", "outputs")
FIT = ("-m", "lightning_app.fit", "--num_epochs", "1", "--trainer.limit_train_batches", "20")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_bare_python(tmp_path_factory.mktemp("bare"))


def run(python: str, job: Job, *command: str, v2: bool) -> Outcome:
    kind = MlflowJob if v2 else Job
    variables = kind(job.service, job.run_id, job.folder).environment(PYTHONPATH=str(ROOT))
    variables.pop("LIGHTNING_APP_METRICS", None)
    done = subprocess.run(
        [python, *command], cwd=job.folder, env=variables, capture_output=True, text=True, timeout=300
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_job_of_sdk_v2_trains_and_delivers(bare_python: str, job: Job) -> None:
    outcome = run(bare_python, job, *FIT, v2=True)

    assert (outcome.status, outcome.err) == (0, "")
    assert f"Metrics go to run {job.run_id} of Azure ML, by its MLflow interface." in outcome.out
    assert job.scalars() == journal_scalars(job.folder / "outputs")
    stored = job.service.run(job.run_id)
    assert stored.params["learning_rate"] == "0.001"
    assert any(path.startswith("charts/test_confusion_matrix") for path in stored.artifacts)
    assert run(bare_python, job, *DELIVER, v2=True).out == f"0 rows delivered to run {job.run_id}; nothing left.\n"


def test_a_job_of_sdk_v1_says_what_is_missing_and_what_it_logged_is_delivered_later(bare_python: str, job: Job) -> None:
    outcome = run(bare_python, job, "-c", LOGGED, v2=False)

    assert outcome.status == 0
    assert outcome.err == (
        "Azure ML: azureml-core isn't installed; install 'lightning-azureml[v1]'; metrics are only in "
        "outputs/metrics.jsonl, from where python -m lightning_app.deliver outputs delivers them later.\n"
    )
    refused = run(bare_python, job, *DELIVER, v2=False)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == "error: azureml-core isn't installed; install 'lightning-azureml[v1]'\n"
    assert job.run(*DELIVER).status == 0
    assert job.scalars() == journal_scalars(job.folder / "outputs")


def test_azureml_core_is_not_imported_where_metrics_go_by_mlflow(service: AzureMLEmulator, tmp_path: Path) -> None:
    job = MlflowJob(service, service.new_run().id, tmp_path)
    recorded = names_what_is_imported(tmp_path, "azureml.core")

    outcome = job.run("-c", LOGGED + ASKS_FOR_CORE, PYTHONPATH=f"{recorded['PYTHONPATH']}:{ROOT}")

    assert (outcome.status, outcome.err) == (0, "")
    loaded, refusal, was_imported = outcome.out.splitlines()
    assert (loaded, was_imported) == ("[]", "False")
    assert refusal.startswith("logger.run is azureml-core's, and the metrics go by MLflow here; ")
    assert len(job.scalars()["a"]) == 10
    assert (tmp_path / "imported").exists()


def test_files_of_the_run_are_found_without_azureml_core(bare_python: str, job: Job) -> None:
    for path in ("outputs/a.txt", *(f"outputs/{number}.txt" for number in range(150))):
        job.service.add_artifact(job.run_id, path, b"content")
    script = """
import json, pathlib
from lightning_app.azureml.run_files import RunFiles, RunFilesError
with RunFiles() as files:
    paths = files.paths()
    files.download("outputs/a.txt", pathlib.Path("a.txt"))
    try:
        files.download("outputs/none.txt", pathlib.Path("none.txt"))
    except RunFilesError as error:
        print(json.dumps([len(paths), error.is_missing]))
"""

    outcome = run(bare_python, job, "-c", script, v2=True)

    assert outcome.err == ""
    assert json.loads(outcome.out) == [151, True]
    assert (job.folder / "a.txt").read_bytes() == b"content"
