"""What works with one extra and what it brings, and nothing else: submitting, training and delivering."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.bare_python import make_bare_python, names_what_is_imported
from tests.support.commands import ROOT, Outcome, environment
from tests.support.jobs import Job, journal_scalars
from tests.support.mlflow_jobs import MlflowJob
from tests.support.projects import copy_project
from tests.support.submitters import Submitter

pytestmark = pytest.mark.slow
SHORT = ("--num_epochs", "1", "--trainer.limit_train_batches", "20")
OTHER = {"v1": "azure.ai.ml", "v2": "azureml.core"}
PACKAGES = {"v1": "azureml-core", "v2": "azure-ai-ml"}


@dataclass(frozen=True)
class Installed:
    """An environment with one SDK, and a program that records each import of the other one."""

    sdk: str
    python: str
    folder: Path

    @property
    def path(self) -> str:
        return f"{self.folder}:{ROOT}"

    @property
    def imported(self) -> bool:
        """Whether a process has tried to import the other SDK."""
        return (self.folder / "imported").exists()

    def run(self, folder: Path, variables: dict[str, str], *command: str) -> Outcome:
        return run(self.python, folder, variables | {"PYTHONPATH": self.path}, *command)


def run(python: str, folder: Path, variables: dict[str, str], *command: str) -> Outcome:
    done = subprocess.run(
        [python, *command], cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module", params=["v1", "v2"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp(f"only-{request.param}")
    names_what_is_imported(folder, OTHER[request.param])
    return Installed(request.param, make_bare_python(folder / "python", request.param, "rehearse"), folder)


@pytest.fixture(scope="module")
def neither(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_bare_python(tmp_path_factory.mktemp("neither") / "python")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


def test_a_job_is_sent_and_read_with_the_sdk_that_is_there(
    installed: Installed, service: AzureMLEmulator, tmp_path: Path
) -> None:
    submitter = Submitter(service, tmp_path).with_training()
    variables = submitter.environment()
    job = ("--docker_image", "x:1", "--source_directory", "training", "--dataset", "data/cifar10")

    sent = installed.run(tmp_path, variables, "-m", "submit", "run", *job)
    run_id = sent.out.split()[1]
    status = installed.run(tmp_path, variables, "-m", "submit", "status", run_id)

    assert sent.status == 0, sent.err
    assert f"note: sent with Azure ML SDK {installed.sdk} ({PACKAGES[installed.sdk]} " in sent.err
    assert (status.status, service.run(run_id).status) == (0, "Queued")
    assert ("properties" in service.jobs[-1].definition) == (installed.sdk == "v2")
    other = "v1" if installed.sdk == "v2" else "v2"
    refused = installed.run(tmp_path, variables, "-m", "submit", "status", run_id, "--sdk", other)
    assert refused.status == 2
    missing = f"error: --sdk {other}: {PACKAGES[other]} isn't installed; "
    assert refused.err == f"{missing}install it: pip install 'lightning-azureml[{other}]'\n"
    assert not installed.imported


def test_a_job_is_rehearsed(installed: Installed, project: Path) -> None:
    rehearsed = installed.run(project, environment(), "-m", "submit", "rehearse", "--limit", "5", "--num_epochs", "1")

    assert rehearsed.status == 0, rehearsed.err + rehearsed.out
    assert "rank 0 (node 0, process 0): exit code 0" in rehearsed.out
    assert "\n  train_loss: " in rehearsed.out
    assert not installed.imported


def test_a_job_trains_and_delivers(installed: Installed, service: AzureMLEmulator, tmp_path: Path) -> None:
    kind = MlflowJob if installed.sdk == "v2" else Job
    job = kind(service, service.new_run().id, tmp_path)
    variables = job.environment()
    variables.pop("LIGHTNING_APP_METRICS", None)

    trained = installed.run(tmp_path, variables, "-m", "lightning_app.fit", *SHORT)
    delivered = installed.run(tmp_path, variables, "-m", "lightning_app.deliver", "outputs")

    by = "by its MLflow interface" if installed.sdk == "v2" else "by azureml-core"
    assert (trained.status, trained.err) == (0, "")
    assert f"Metrics go to run {job.run_id} of Azure ML, {by}." in trained.out
    assert delivered.out == f"0 rows delivered to run {job.run_id}; nothing left.\n"
    assert job.scalars() == journal_scalars(tmp_path / "outputs")
    assert not installed.imported


def test_without_an_sdk_the_training_works(neither: str, tmp_path: Path) -> None:
    trained = run(neither, tmp_path, environment(), "-m", "lightning_app.fit", *SHORT)
    reported = run(neither, tmp_path, environment(), "-m", "lightning_app", "report", "outputs")

    assert (trained.status, trained.err) == (0, "")
    assert "Report:     outputs/report.html" in trained.out
    assert reported.status == 0, reported.err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run --dry_run", "neither azure-ai-ml (SDK v2) nor azureml-core (SDK v1) is installed; install it: pip "),
        ("status some_run", "neither azure-ai-ml (SDK v2) nor azureml-core (SDK v1) is installed; install it: pip "),
        ("rehearse", "rehearse needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'"),
    ],
)
def test_without_an_sdk_submit_says_in_one_line_what_to_install(
    neither: str, tmp_path: Path, command: str, message: str
) -> None:
    outcome = run(neither, tmp_path, environment(), "-m", "submit", *command.split())

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {message}")


def test_this_python_has_more_than_that_one(neither: str) -> None:
    """Otherwise the tests above would show nothing."""
    names = ("azureml.core", "azure.ai.ml", "mlflow", "jwt", "pytest")
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n.partition('.')[0])])"

    there, here = (
        subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout
        for python in (neither, sys.executable)
    )

    assert there == "[]\n"
    assert here == f"{list(names)}\n"
