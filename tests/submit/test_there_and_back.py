"""README's way to the cluster and back, each command a test: with both SDKs, from the repository and from the wheel."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.commands import Outcome
from tests.support.images import make_cifar10
from tests.support.projects import copy_project
from tests.support.wheels import installed_wheel
from tests.support.workspaces import LoggedIn, workspace

pytestmark = pytest.mark.slow

MODULE = """
from models import CifarNet


class MyNet(CifarNet):
    pass
"""
OWN = ("--model", "my_module.MyNet", "--data", "CIFAR10DataModule")
FLAGS = ("--batch_size", "20", "--data.val_split", "40", "--trainer.accelerator", "cpu")
UPLOAD = ("upload", "--src", "images", "--target", "data/cifar10")
CLUSTER = ("--name", "small", "--vm_size", "Standard_DS3_v2", "--max_nodes", "2")
SWEEP = ("--param", "learning_rate=choice(0.001,0.01)", "--sampling", "grid", "--metric", "val_accuracy")
WALKS = [(packages, sdk) for packages in ("repository", "wheel") for sdk in ("v1", "v2")]
EPOCH = 4  # steps, on two nodes


@dataclass
class Walk:
    """Somebody with images, a workspace, and a run that has been sent and has ended."""

    user: LoggedIn
    sdk: str
    packages: str
    uploaded: Outcome
    created: Outcome
    sent: Outcome

    @property
    def run(self) -> str:
        return self.sent.out.split()[1]

    @property
    def job(self) -> tuple[str, ...]:
        """The flags of ``submit run``; an installed package trains a module of the user's own."""
        return ("--compute", "small", "--dataset", "data/cifar10", *(OWN if self.packages == "wheel" else ()), *FLAGS)

    def submit(self, name: str, *arguments: str) -> Outcome:
        return submit(self.user, self.sdk, name, *arguments)

    def status(self, run: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.submit("status", run, "--json").out)
        return found

    def ended(self, run: str) -> dict[str, object]:
        deadline = time.monotonic() + 300
        while (found := self.status(run))["status"] not in ("Completed", "Failed", "Canceled"):
            assert time.monotonic() < deadline
        return found


def submit(user: LoggedIn, sdk: str, name: str, *arguments: str) -> Outcome:
    return succeed(user, "submit", name, *arguments, "--sdk", sdk)


def succeed(user: LoggedIn, *arguments: str) -> Outcome:
    outcome = user.run(sys.executable, "-m", *arguments)
    assert outcome.status == 0, outcome.err + outcome.out
    return outcome


@pytest.fixture(scope="module", params=WALKS, ids="-".join)
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The program is a checkout or an installed package."""
    packages, sdk = request.param
    folder = tmp_path_factory.mktemp("walk") / "project"
    if packages == "repository":
        copy_project(folder)
        path = folder
    else:
        folder.mkdir()
        (folder / "my_module.py").write_text(MODULE)
        path = installed_wheel(folder.parent)
    make_cifar10(folder / "images")
    (folder / ".amlignore").write_text("config.json\nimages/\nhere/\nemulator.log\n.git/\n")
    with workspace(folder, pythonpath=path) as user:
        uploaded = submit(user, sdk, *UPLOAD)
        created = submit(user, sdk, "compute", *CLUSTER)
        own = OWN if packages == "wheel" else ()
        job = ("--compute", "small", "--dataset", "data/cifar10", *own, *FLAGS)
        sent = submit(user, sdk, "run", *job, "--nodes", "2", "--num_epochs", "1", "--wait")
        yield Walk(user, sdk, packages, uploaded, created, sent)
        assert "unknown, refused" not in (folder / "emulator.log").read_text()


def test_upload_names_the_value_for_dataset(walk: Walk) -> None:
    assert walk.uploaded.out.splitlines()[-1] == "--dataset data/cifar10"


def test_upload_registers_the_folder_as_a_version_of_a_data_asset(walk: Walk) -> None:
    if walk.sdk == "v1":
        refused = walk.user.run(sys.executable, "-m", "submit", *UPLOAD, "--name", "cifar10", "--sdk", "v1")
        assert (refused.status, refused.out) == (2, "")
        assert refused.err.startswith("error: --name: needs SDK v2: give --sdk v2; ")
        return

    registered = walk.submit(*UPLOAD, "--name", "cifar10")
    dataset = registered.out.splitlines()[-1]
    sent = walk.submit("run", "--compute", "small", *dataset.split(), *walk.job[4:], "--num_epochs", "1", "--wait")

    assert dataset == "--dataset cifar10:1"
    assert "Finished: 1 epoch, 8 steps." in sent.out


def test_compute_finds_the_cluster_that_it_has_created(walk: Walk) -> None:
    again = walk.submit("compute", *CLUSTER)

    assert walk.created.out == "small is created: Standard_DS3_v2, 0 to 2 nodes, dedicated\n"
    assert again.out == walk.created.out.replace("is created", "exists")


def test_a_dry_run_sends_nothing(walk: Walk) -> None:
    dry = walk.submit("run", "--dry_run", *walk.job)

    assert "python -m lightning_app.fit" in dry.out
    assert ("installs lightning-azureml==" in dry.err) == (walk.packages == "wheel")


def test_run_with_wait_follows_the_log_to_its_end(walk: Walk) -> None:
    lines = walk.sent.out.splitlines()

    assert sum(line.startswith(f"Finished: 1 epoch, {EPOCH} steps.") for line in lines) == 1
    assert "] Completed after " in lines[-1]


def test_status_has_the_metrics_that_the_training_has_logged(walk: Walk) -> None:
    status = walk.status(walk.run)

    metrics = status["metrics"]
    assert (status["status"], status["nodes"], status["processes_per_node"]) == ("Completed", 2, 1)
    assert isinstance(metrics, dict)
    assert {"train_loss", "val_accuracy", "test_accuracy"} <= metrics.keys()
    shown = [line.split() for line in walk.submit("status", walk.run).out.splitlines()]
    assert ["metric", "test_loss", f"{metrics['test_loss']:.6g}"] in shown


def test_list_has_the_run(walk: Walk) -> None:
    assert walk.run in walk.submit("list").out
    assert walk.run in [each["run"] for each in json.loads(walk.submit("list", "--json").out)]


def test_logs_with_follow_prints_each_line_once(walk: Walk) -> None:
    log, followed = walk.submit("logs", walk.run), walk.submit("logs", walk.run, "--follow")

    assert f"Finished: 1 epoch, {EPOCH} steps." in log.out
    assert followed.out == log.out
    assert followed.err == "The run has ended: Completed.\n"
    names = walk.submit("logs", walk.run, "--list").out.split()
    assert [f"user_logs/std_log_process_{rank}.txt" for rank in range(2)] == [n for n in names if "std_log" in n]


def test_downloaded_checkpoints_are_those_that_were_tested(walk: Walk) -> None:
    downloaded = walk.submit("download", walk.run, "--what", "checkpoints", "--target", "here", "--json")

    checkpoint = "here/outputs/checkpoints/best.ckpt"
    assert "outputs/checkpoints/best.ckpt" in [file["path"] for file in json.loads(downloaded.out)["files"]]
    tested = succeed(walk.user, "lightning_app", "test", "--ckpt_path", checkpoint, "--data_path", "images")
    metrics = walk.status(walk.run)["metrics"]
    assert isinstance(metrics, dict)
    for name in ("test_loss", "test_accuracy", "test_macro_f1"):
        assert f"{name} {metrics[name]:.4f}\n" in tested.out


def test_register_has_the_metrics_of_the_best_checkpoint(walk: Walk) -> None:
    registered = json.loads(walk.submit("register", walk.run, "--name", "net", "--json").out)

    walk.submit("download", walk.run, "--target", "registered")
    best = json.loads((walk.user.folder / "registered/outputs/checkpoints/best.json").read_text())["metrics"]
    assert registered["checkpoint"] == "outputs/checkpoints/best.ckpt"
    assert registered["tags"]["val_accuracy"] == f"{best['val_accuracy']:.6g}"
    assert registered["tags"]["run_id"] == walk.run


def test_resume_trains_on(walk: Walk) -> None:
    resumed = walk.submit("resume", walk.run, "--num_epochs", "2", "--wait")

    run = resumed.out.split()[1]
    assert walk.status(run)["status"] == "Completed"
    assert f"Finished: 2 epochs, {2 * EPOCH} steps." in walk.submit("logs", run).out


def test_a_run_that_is_at_work_is_cancelled(walk: Walk) -> None:
    run = walk.submit("run", *walk.job, "--num_epochs", "100000").out.split()[1]

    cancelled = walk.submit("cancel", run)

    assert cancelled.out == f"{run} is being canceled.\n"
    assert walk.ended(run)["status"] == "Canceled"
    assert walk.submit("cancel", run).out == f"{run} has already ended: Canceled.\n"


def test_a_sweep_lists_its_runs_with_what_was_drawn_the_best_one_first(walk: Walk) -> None:
    sent = walk.submit("sweep", *SWEEP, "--goal", "maximize", *walk.job, "--num_epochs", "1")

    sweep = sent.out.split()[1]
    assert walk.ended(sweep)["status"] == "Completed"
    runs = json.loads(walk.submit("list", "--sweep", sweep, "--json").out)
    table = walk.submit("list", "--sweep", sweep).out.splitlines()
    assert sorted(each["hyperparameters"]["learning_rate"] for each in runs) == [0.001, 0.01]
    found = [each["metrics"]["val_accuracy"] for each in runs]
    assert found == sorted(found, reverse=True)
    assert [line.split()[0] for line in table[1:]] == [each["run_id"] for each in runs]
    assert table[0].split()[:5] == ["RUN", "STATUS", "DURATION", "learning_rate", "val_accuracy"]
    child = walk.submit("logs", runs[0]["run_id"])
    assert "Finished: 1 epoch, 8 steps." in child.out
    assert runs[0]["run_id"] not in walk.submit("list").out
