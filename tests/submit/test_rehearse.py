"""``python -m submit rehearse``: the whole job on this machine, with the real SDK and real processes."""

import contextlib
import itertools
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment
from tests.support.images import make_cifar10
from tests.support.projects import copy_project

TRAINING = ("--num_epochs", "1", "--data.val_split", "40", "--trainer.accelerator", "cpu")
SLOW = pytest.mark.slow
FAST = ("v1", "pytorch", 2, 1)
SHAPES = [
    FAST if shape == FAST else pytest.param(*shape, marks=SLOW)
    for shape in itertools.product(("v1", "v2"), ("pytorch", "mpi"), (1, 2), (1, 2))
]


MODULE = """
from pathlib import Path
import pytorch_lightning as pl
import torch


class Looks(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def on_fit_start(self):
        names = (".amlignore", "my_module.py", "secret_table.txt", ".git", "tests")
        Path("written").touch()
        print("found:", [name for name in names if Path(name).exists()], "writable:", Path("written").exists())

    def training_step(self, batch, batch_idx):
        return self.layer(batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Numbers(pl.LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.rand(8, 1))


class DiesOnRankOne(Looks):
    def training_step(self, batch, batch_idx):
        if self.global_rank == 1:
            raise RuntimeError("rank one has had enough")
        return super().training_step(batch, batch_idx)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rehearsals of this test put their folders."""
    found = tmp_path / "tmp"
    found.mkdir()
    monkeypatch.setenv("TMPDIR", str(found))
    return found


def rehearse(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "submit", "rehearse", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment(),
    )


def left_behind(temporary: Path) -> list[str]:
    """What a rehearsal has left: files, and processes that run there."""
    found = [str(path) for path in temporary.iterdir()]
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [str(folder) for folder in [link.readlink()] if str(folder).startswith(str(temporary))]
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """This project, with a module of somebody's own."""
    found = copy_project(tmp_path / "project")
    (found / "my_module.py").write_text(MODULE)
    return found


@pytest.mark.parametrize(("sdk", "launcher", "nodes", "processes"), SHAPES)
def test_a_job_of_every_shape_runs(sdk: str, launcher: str, nodes: int, processes: int, tmp_path: Path) -> None:
    data = make_cifar10(tmp_path / "cifar")

    outcome = rehearse(
        *("--sdk", sdk, "--launcher", launcher, "--nodes", str(nodes), "--processes_per_node", str(processes)),
        *("--dataset", "cifar10", "--rehearsal_data", str(data), "--limit", "5", *TRAINING),
    )

    assert (outcome.returncode, outcome.stderr) == (0, "")
    ranks = re.findall(r"rank (\d) \(node (\d), process (\d)\): exit code 0", outcome.stdout)
    assert ranks == [(str(n * processes + p), str(n), str(p)) for n in range(nodes) for p in range(processes)]
    counts = dict(re.findall(r"^  (\w+): (\d+) values?\b", outcome.stdout, re.MULTILINE))
    assert {"train_loss", "val_accuracy", "test_loss"} <= set(counts)
    # SDK v1's metrics have a kind for it; MLflow's haven't, and so it is a file
    assert ("val_confusion_matrix" in counts) == (sdk == "v1")
    assert "charts/val_confusion_matrix-step5.json (" in outcome.stdout
    by_class = {name: counts.pop(name) for name in list(counts) if name.endswith("_by_class")}  # a row for each class
    assert set(counts.values()) == {"1"}
    assert set(by_class.values()) <= {"10"}
    assert outcome.stdout.count("checkpoints/last.ckpt (") == 1
    assert "warning" not in outcome.stdout


@SLOW
def test_what_the_snapshot_leaves_out_is_not_there(project: Path) -> None:
    with (project / ".amlignore").open("a") as file:
        file.write("secret_table.txt\n")
    (project / "secret_table.txt").write_text("not for the cloud\n")

    outcome = rehearse("--model", "my_module.Looks", "--data", "my_module.Numbers", "--num_epochs", "1", folder=project)

    assert outcome.returncode == 0, outcome.stdout
    assert "found: ['.amlignore', 'my_module.py'] writable: True" in outcome.stdout


@SLOW
def test_a_rank_that_fails_is_named_with_its_last_lines(project: Path, temporary: Path) -> None:
    outcome = rehearse(
        *("--model", "my_module.DiesOnRankOne", "--data", "my_module.Numbers", "--processes_per_node", "2"),
        *("--trainer.accelerator", "cpu"),
        folder=project,
    )

    assert outcome.returncode not in (0, 2)
    last = outcome.stdout.partition("rank 1 on node 0 failed; its last lines:")[2]
    assert "RuntimeError: rank one has had enough" in last
    assert left_behind(temporary) == []


def test_data_is_needed_where_the_job_has_some() -> None:
    outcome = rehearse("--dataset", "cifar10")

    assert outcome.returncode == 2
    assert outcome.stderr.startswith("error: --dataset is in the workspace; give --rehearsal_data DIR")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_rat", "0.1"], "--learning_rat: unknown flag; did you mean --learning_rate?"),
        (["--recipe", "resnet"], "--recipe resnet: no such recipe; expected one of cifar_net, cifar_resnet"),
    ],
)
def test_flags_that_the_training_does_not_take_are_reported_before_anything_is_sent(
    flags: list[str], message: str
) -> None:
    outcome = rehearse(*flags)

    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr.splitlines()[-1].startswith(f"error: the training doesn't accept its flags: {message}")


@SLOW
def test_an_interrupted_rehearsal_leaves_nothing_behind(temporary: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
         "import sys; sys.argv = ['submit', 'rehearse', '--num_epochs', '50']; from submit.main import main; "
         "sys.exit(main())"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "epoch=1" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err.splitlines()[-1] == "Interrupted."
    deadline = time.monotonic() + 20
    while left_behind(temporary) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left_behind(temporary) == []
