"""Several nodes with disks of their own: all processes use the plan and the checkpoint of rank 0."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.run_folder import RunFolder
from tests.support import clusters
from tests.support.commands import command_line
from tests.support.images import make_cifar10
from tests.support.jobs import logged_rows
from tests.support.namespaces import Cluster
from tests.support.node_process import Process

# the first epoch is the best one, so that the test at the end doesn't use the last weights
FLAGS = ("--data.val_split", "41", "--learning_rate", "0.05", "--trainer.log_every_n_steps", "7")
VARIABLES = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_cifar10(tmp_path / "images")


def fit(cluster: Cluster, images: Path, epochs: int, *further: str) -> list[Process]:
    """Runs two processes in total, on one node or on two."""
    flags = ["--data_path", str(images), "--batch_size", "4", "--num_epochs", str(epochs), *FLAGS, *further]
    nodes = len(cluster.nodes)
    started = clusters.start("pytorch_for_devices" if nodes > 1 else "none", cluster, 2 // nodes, flags, VARIABLES)
    clusters.finish(started)
    return started


def weights(folder: Path, name: str = "last") -> Mapping[str, torch.Tensor]:
    content = torch.load(folder / "outputs" / "checkpoints" / f"{name}.ckpt", weights_only=True)
    state: Mapping[str, torch.Tensor] = content["state_dict"]
    return state


def assert_same_run(folder: Path, other: Path) -> None:
    """Compares bit by bit: in both runs, two processes average their gradients."""
    for name in ("last", "best"):
        for key, value in weights(folder, name).items():
            torch.testing.assert_close(value, weights(other, name)[key], rtol=0, atol=0)
    rows, expected = (logged_rows(each / "outputs") for each in (folder, other))
    assert rows == expected


def remove_test_rows(folder: Path, step: int) -> None:
    """Removes the test metrics of the shorter run; a run that was never stopped has none at that step."""
    journal = folder / "outputs" / "metrics.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if not ('"test_loss"' in line and f'"step": {step},' in line)))


def test_only_rank_0_makes_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank neither continues from the files on its own disk nor fails because of them."""
    folder = RunFolder(tmp_path / "run")
    folder.last.parent.mkdir(parents=True)
    folder.last.write_text("no checkpoint")
    variables = {"RANK": "1", "WORLD_SIZE": "2", "AZUREML_NODE_COUNT": "2", "MASTER_ADDR": "10.0.0.1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert plan_resume(folder, "auto", {}) == ResumePlan()
    assert plan_resume(folder, "/nowhere", {}) == ResumePlan()


@pytest.mark.namespaces
def test_a_node_without_the_checkpoint_continues_from_rank_0s(images: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        fit(cluster, images, 1)
        first, second = (node.folder for node in cluster.nodes)
        assert list(second.iterdir()) == []
        resumed = fit(cluster, images, 3)
    with Cluster(tmp_path / "one_disk", nodes=1) as cluster:
        fit(cluster, images, 3)
        uninterrupted = cluster.nodes[0].folder

    assert resumed[0].out.count("Continuing from outputs/checkpoints/last.ckpt, after 1 epoch and 20 steps.") == 1
    assert resumed[1].out == ""
    assert list(second.iterdir()) == []
    assert list((tmp_path / "cluster" / "tmp-node1").glob("lightning-azureml-*")) == []
    remove_test_rows(first, step=20)
    assert_same_run(first, uninterrupted)


@pytest.mark.slow
@pytest.mark.namespaces
def test_an_old_run_on_another_nodes_disk_is_neither_used_nor_changed(images: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path / "one_disk", nodes=1) as cluster:
        fit(cluster, images, 3)
        uninterrupted = cluster.nodes[0].folder
    with Cluster(tmp_path / "old", nodes=1) as cluster:
        fit(cluster, images, 1, "--seed", "5")
        old = cluster.nodes[0].folder / "outputs"
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        first, second = (node.folder for node in cluster.nodes)
        shutil.copytree(old, second / "outputs")
        before = {path: path.stat().st_mtime_ns for path in second.rglob("*")}

        fit(cluster, images, 2)  # the second node has a run with other settings: rank 0 starts a fresh run
        fit(cluster, images, 3)  # the second node has another checkpoint with the same name
        finished = fit(cluster, images, 3)

        refused = [process.finish() for process in validate(cluster)]
        shutil.copytree(first / "outputs" / "checkpoints", cluster.root / "mount")
        measured = validate(cluster, "--ckpt_path", str(cluster.root / "mount" / "best.ckpt"))
        clusters.finish(measured)
    assert {path: path.stat().st_mtime_ns for path in second.rglob("*")} == before
    journal = first / "outputs" / "metrics.jsonl"
    remove_test_rows(first, step=40)
    assert_same_run(first, uninterrupted)
    assert "outputs: training is finished (3 epochs)" in finished[0].out
    assert "Finished: " not in finished[0].out
    rows = [row["metrics"] for row in read_journal(journal) if "val_loss" in row["metrics"]]
    best = max(rows, key=lambda metrics: metrics["val_accuracy"])
    assert [outcome.status for outcome in refused] == [2, 2]
    message = "checkpoint 'outputs/checkpoints/best.ckpt': node 1 has another file than node 0; give a --ckpt_path"
    assert message in refused[0].err
    assert measured[0].out == "".join(f"{name} {value:.4f}\n" for name, value in best.items())
    assert measured[1].out == ""


def validate(cluster: Cluster, *further: str) -> list[Process]:
    """Starts one process per node, as Azure ML's PyTorch launcher does."""
    size = str(len(cluster.nodes))
    flags = ["--trainer.accelerator", "cpu", "--trainer.num_nodes", size, "--trainer.devices", "1"]
    common = {"WORLD_SIZE": size, "AZUREML_NODE_COUNT": size, "MASTER_ADDR": cluster.address, "MASTER_PORT": "6105"}
    return [
        node.start(
            command_line("validate", *flags, *further),
            VARIABLES | common | {"RANK": str(node.number), "NODE_RANK": str(node.number), "LOCAL_RANK": "0"},
        )
        for node in cluster.nodes
    ]
