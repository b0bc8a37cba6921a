"""Images in the real layouts, the real command line in a process of its own, and jobs of a loopback Azure ML."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import cifar10_files
from lightning_app.journal import read_journal
from submit.execution import nodes
from submit.rehearsal import AzureMLService, MetricRow

ROOT = Path(__file__).parent.parent

# Two workers of pytest on two cores, and each process with two threads that wait for one another by spinning, take
# many times as long as with one thread each.
torch.set_num_threads(1)


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, standard output and standard error."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


def environment() -> dict[str, str]:
    foreign = ("AZUREML_", "MLFLOW_", "PL_GLOBAL_SEED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lightning_app", *arguments]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs ``python -m lightning_app ARGUMENTS`` in the test's own folder, which is the working folder from then on."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str, prefix: tuple[str, ...] = ()) -> Outcome:
        done = subprocess.run(
            [*prefix, *command_line(*arguments)], capture_output=True, text=True, timeout=300, env=environment()
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run_command


@dataclass(frozen=True)
class Job:
    """A run of the service, in the test's own folder, which stands for the disk of a node."""

    service: AzureMLService
    run_id: str
    folder: Path

    def environment(self, **further: str) -> dict[str, str]:
        home = self.folder / "home"
        # matplotlib and torch look for their caches in the home, which is a new one for each job
        caches = {"MPLCONFIGDIR": str(Path.home() / ".cache" / "matplotlib")}
        return environment() | caches | self.service.job_environment(self.run_id, home) | further

    def start(self, *command: str, **further: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment(**further),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **further: str) -> Outcome:
        """Runs Python with these arguments as the job's command."""
        process = self.start(*command, **further)
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def rows(self) -> dict[str, list[MetricRow]]:
        """What the service holds, by metric name."""
        return self.service.run(self.run_id).metrics

    def scalars(self) -> dict[str, list[tuple[int | None, float]]]:
        """Step and value of each scalar that the service holds, in the order of the steps."""
        return {
            name: sorted((row.step, row.data[name]) for row in rows)
            for name, rows in self.rows().items()
            if rows[0].kind == "azureml.v1.scalar"
        }


def journal_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each finite number in a run folder's journal."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in read_journal(folder / "metrics.jsonl"):
        for name, value in row["metrics"].items():
            if not isinstance(value, str):
                found.setdefault(name, []).append((row["step"], value))
    return found


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments],  # noqa: S607 this machine's git
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def copy_project(target: Path) -> Path:
    """This project as it is, without what git ignores, in a repository of its own."""
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    git(target, "init", "-q")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "as it is")
    git(target, "remote", "add", "origin", "https://example.com/project.git")
    return target


@pytest.fixture
def free_port() -> int:
    """For rank 0 of a training; the next one is free for its watchdog."""
    return nodes.free_port()


@pytest.fixture
def service() -> Iterator[AzureMLService]:
    with AzureMLService() as running:
        yield running
    assert running.unknown == []


@pytest.fixture
def job(service: AzureMLService, tmp_path: Path) -> Job:
    folder = tmp_path / "node"
    folder.mkdir()
    return Job(service, service.new_run().id, folder)


def write_batch(path: Path, count: int, seed: int, protocol: int = 2) -> None:
    """One batch file of CIFAR-10; an image's red part grows with its label, so that there is something to learn."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    data = random.integers(0, 120, (count, 3072), dtype=np.uint8)
    data[:, :1024] = data[:, :1024] // 8 + (labels * 24)[:, None]
    with path.open("wb") as file:
        pickle.dump({"data": data, "labels": labels.tolist()}, file, protocol=protocol)


def make_cifar10(root: Path, images_a_batch: int = 40) -> Path:
    folder = root / cifar10_files.FOLDER
    folder.mkdir(parents=True)
    for seed, name in enumerate((*cifar10_files.TRAIN_FILES, cifar10_files.TEST_FILE)):
        write_batch(folder / name, images_a_batch, seed)
    with (folder / cifar10_files.META_FILE).open("wb") as file:
        pickle.dump({"label_names": list(cifar10_files.CIFAR10_CLASSES)}, file, protocol=2)
    return root


def make_image_folder(root: Path, splits: tuple[str, ...] = ("train", "val"), count: int = 6) -> Path:
    random = np.random.default_rng(0)
    for split in splits:
        for name, level in {"dark": 40, "light": 200}.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(random.normal(level, 20, (40, 48, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}{number}.jpg")
    return root


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    return make_cifar10(tmp_path / "cifar")


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path / "images")
