"""The way to the cluster and back, command after command: from the repository, and with nothing but the wheel."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

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
FLAGS = ("--batch_size", "20", "--data.val_split", "40", "--trainer.accelerator", "cpu")


@pytest.fixture(params=["repository", "wheel"])
def user(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoggedIn]:
    """Somebody with images, a cluster's workspace, and the program as a checkout or as an installed package."""
    folder = tmp_path / "project"
    if request.param == "repository":
        copy_project(folder)
        packages = folder
    else:
        folder.mkdir()
        (folder / "my_module.py").write_text(MODULE)
        packages = installed_wheel(tmp_path)
    make_cifar10(folder / "images")
    (folder / ".amlignore").write_text("config.json\nimages/\nhere/\nemulator.log\n.git/\n")
    with workspace(folder, pythonpath=packages) as found:
        yield found


def succeed(user: LoggedIn, *arguments: str) -> Outcome:
    outcome = user.run(sys.executable, "-m", *arguments)
    assert outcome.status == 0, outcome.err + outcome.out
    return outcome


def test_each_command_works_on_what_the_one_before_has_left(user: LoggedIn) -> None:
    model = ("--model", "my_module.MyNet", "--data", "CIFAR10DataModule")
    own = () if (user.folder / "models").exists() else model
    job = ("--compute", "small", "--dataset", "data/cifar10", *own, *FLAGS)

    uploaded = succeed(user, "submit", "upload", "--src", "images", "--target", "data/cifar10")
    succeed(user, "submit", "compute", "--name", "small", "--vm_size", "Standard_DS3_v2", "--max_nodes", "2")
    dry = succeed(user, "submit", "run", "--dry_run", *job)
    sent = succeed(user, "submit", "run", *job, "--num_epochs", "1", "--wait")
    run = sent.out.split()[1]
    status = json.loads(succeed(user, "submit", "status", run, "--json").out)
    listed = succeed(user, "submit", "list")
    log = succeed(user, "submit", "logs", run)
    succeed(user, "submit", "download", run, "--what", "checkpoints", "--target", "here")
    checkpoint = "here/outputs/checkpoints/best.ckpt"
    tested = succeed(user, "lightning_app", "test", "--ckpt_path", checkpoint, "--data_path", "images")
    registered = json.loads(succeed(user, "submit", "register", run, "--name", "net", "--json").out)
    resumed = succeed(user, "submit", "resume", run, "--num_epochs", "2", "--wait")
    second = json.loads(succeed(user, "submit", "status", resumed.out.split()[1], "--json").out)

    assert uploaded.out.splitlines()[-1] == "--dataset data/cifar10"
    assert ("installs lightning-azureml==" in dry.err) == bool(own)
    assert status["status"] == "Completed"
    assert run in listed.out
    assert "Finished: 1 epoch, 8 steps." in log.out
    for name in ("test_loss", "test_accuracy", "test_macro_f1"):
        assert f"{name} {status['metrics'][name]:.4f}\n" in tested.out
    best = json.loads((user.folder / "here/outputs/checkpoints/best.json").read_text())["metrics"]
    assert registered["tags"]["val_accuracy"] == f"{best['val_accuracy']:.6g}"
    assert second["status"] == "Completed"
    assert "Finished: 2 epochs, 16 steps." in succeed(user, "submit", "logs", resumed.out.split()[1]).out
