"""In each way in which Azure ML starts a job, a training has the result of one process with the same global batch.

The launchers are real, and nodes are network namespaces of this machine, see tests.support.namespaces.
"""

import itertools
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import cifar10_files
from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from submit.emulator import AzureMLEmulator
from tests.support import clusters
from tests.support.images import make_cifar10, write_batch
from tests.support.jobs import Job, journal_scalars
from tests.support.namespaces import Cluster

pytestmark = pytest.mark.namespaces

GLOBAL_BATCH = 8
VALIDATION_IMAGES = 40  # 160 remain for training: 20 steps of 8
FIT = (
    *("--data.val_split", str(VALIDATION_IMAGES), "--num_epochs", "1", "--trainer.log_every_n_steps", "5"),
    *("--learning_rate", "0.01"),  # ten times the default, so that 20 steps change the weights enough
)
# A step's gradient is the mean over 8 images. One process sums over all of them; several processes sum over their
# shares, and gloo sums the shares. Float32 addition isn't associative: the gradients differ by a few units in the last
# place, 6e-8 of their value, and so do the weights, which are below 0.12; the largest difference observed is 2.3e-8.
# A batch with an image less makes a difference of more than 1e-3, see below.
WEIGHTS_TOLERANCE = 1e-6
METRICS_TOLERANCE = 1e-5  # losses are about 2.3, whose last place is 2.4e-7; twice that was observed

FAST = [  # one of each launcher
    ("mpi_for_devices", 2, 1),
    ("mpi_for_nodes", 1, 2),
    ("pytorch_for_devices", 2, 1),
    ("pytorch_for_nodes", 1, 2),
    ("torchrun", 2, 2),
    ("none", 1, 2),
]
ALL = [case for case in itertools.product(clusters.SHAPES, (1, 2), (1, 2)) if case[0] != "none" or case[1] == 1]
CASES = [pytest.param(*case, marks=[] if case in FAST else pytest.mark.slow) for case in ALL]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cifar10(tmp_path_factory.mktemp("images") / "cifar")


@pytest.fixture(scope="module")
def one_process(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training with one process and no launcher."""
    with Cluster(tmp_path_factory.mktemp("one_process") / "cluster", nodes=1) as cluster:
        clusters.finish(clusters.start("none", cluster, 1, fit(images, 1)))
        return cluster.nodes[0].folder / "outputs"


def fit(images: Path, processes: int) -> list[str]:
    return ["--data_path", str(images), "--batch_size", str(GLOBAL_BATCH // processes), *FIT]


@pytest.mark.parametrize(("shape", "nodes", "processes"), CASES)
def test_each_shape_has_the_result_of_one_process(
    shape: str, nodes: int, processes: int, images: Path, one_process: Path, tmp_path: Path
) -> None:
    with Cluster(tmp_path / "cluster", nodes) as cluster:
        started = clusters.start(shape, cluster, processes, fit(images, nodes * processes))
        clusters.finish(started)
        remaining = cluster.remaining_processes()

    assert remaining == []
    assert sum(process.out.count("Finished: ") for process in started) == 1  # only rank 0 prints
    assert_one_run_folder(cluster)
    outputs = cluster.nodes[0].folder / "outputs"
    assert_same_weights(outputs, one_process)
    assert_same_metrics(outputs, one_process)


def assert_one_run_folder(cluster: Cluster) -> None:
    """It is on the first node, and nothing was written elsewhere."""
    first, *others = [sorted(path.name for path in node.folder.iterdir()) for node in cluster.nodes]
    assert first == ["logs", "outputs"]
    assert others == [[]] * len(others)
    assert not (cluster.nodes[0].folder / "outputs" / "previous").exists()
    events = (cluster.nodes[0].folder / "logs").rglob("events.out.tfevents.*")
    assert len({path.name.split(".")[-2] for path in events}) == 1  # the pid of the writer


def assert_same_weights(outputs: Path, expected: Path) -> None:
    actual, wanted = (weights(folder) for folder in (outputs, expected))
    assert actual.keys() == wanted.keys()
    assert difference(actual, wanted) <= WEIGHTS_TOLERANCE


def difference(actual: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of a weight."""
    return max(float((actual[name] - wanted[name]).abs().max()) for name in wanted)


def weights(outputs: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(outputs / "checkpoints" / "last.ckpt")["state_dict"]
    return state


def assert_same_metrics(outputs: Path, expected: Path) -> None:
    actual, wanted = (values(folder) for folder in (outputs, expected))
    assert set(Counter(name_and_step for name_and_step, _ in actual).values()) == {1}
    assert dict(actual) == pytest.approx(dict(wanted), rel=0, abs=METRICS_TOLERANCE)


def values(outputs: Path) -> list[tuple[tuple[str, int], float]]:
    """Each logged value with its name and step."""
    return [
        ((name, row["step"]), value)
        for row in read_journal(outputs / "metrics.jsonl")
        for name, value in row["metrics"].items()
    ]


@pytest.mark.slow
def test_a_batch_with_an_image_less_makes_a_difference_far_above_the_tolerance(
    images: Path, one_process: Path, tmp_path: Path
) -> None:
    flags = ["--data_path", str(images), *FIT, "--batch_size", str(GLOBAL_BATCH - 1)]
    with Cluster(tmp_path / "cluster", nodes=1) as cluster:
        clusters.finish(clusters.start("none", cluster, 1, [*flags, "--trainer.limit_train_batches", "20"]))

    assert difference(weights(cluster.nodes[0].folder / "outputs"), weights(one_process)) > 1000 * WEIGHTS_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["mpi_for_devices", "mpi_for_nodes", "pytorch_for_nodes", "torchrun"])
def test_a_job_of_four_processes_on_two_nodes_sends_each_value_once(shape: str, images: Path, tmp_path: Path) -> None:
    service = AzureMLEmulator()
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        with cluster.nodes[0].network():
            service.start()
        job = Job(service, service.new_run().id, tmp_path)
        variables = service.job_environment(job.run_id, tmp_path / "home")

        clusters.finish(clusters.start(shape, cluster, 2, fit(images, 4), variables))
        service.stop()

    assert service.unknown == []
    names = {f"{stage}_{metric}" for stage in ("train", "val", "test") for metric in ("loss", "accuracy")}
    assert names <= set(job.scalars())
    assert [step for step, _ in job.scalars()["train_loss"]] == [5, 10, 15, 20]
    assert job.scalars() == journal_scalars(cluster.nodes[0].folder / "outputs")
    assert_one_run_folder(cluster)


# the real command, but with all digits of its metrics
MEASURE = """
import json
from lightning_app import evaluation, main
measured = evaluation.all_metrics
def printed(*arguments):
    found = measured(*arguments)
    print(json.dumps(found))
    return found
evaluation.all_metrics = printed
main.main()
"""


@pytest.mark.slow
def test_four_processes_measure_the_same_accuracy_on_103_images_as_one(tmp_path: Path) -> None:
    # 103 is prime: if shares were padded to equal length, an image would count twice
    data = make_cifar10_for_accuracy(tmp_path / "cifar", 103)
    flags = ["--data_path", str(data), "--data.val_split", "103", "--batch_size", "1"]
    learning = ["--num_epochs", "5", "--learning_rate", "0.02"]
    with Cluster(tmp_path / "cluster", nodes=1) as cluster:
        clusters.finish(clusters.start("mpi_for_devices", cluster, 4, [*flags, *learning]))
        outputs = cluster.nodes[0].folder / "outputs"
        single = {name: measured_by_one_process(cluster, name) for name in ("validate", "test")}

    best = read_checkpoint(outputs / "checkpoints" / "best.ckpt")["global_step"]
    together = dict(values(outputs))
    assert together["val_accuracy", best] == single["validate"]["val_accuracy"]
    assert together["test_accuracy", last_step(together)] == single["test"]["test_accuracy"]
    for accuracy in (single["validate"]["val_accuracy"], single["test"]["test_accuracy"]):
        assert accuracy == np.float32(round(accuracy * 103) / 103)
        assert 0.15 < accuracy < 1  # not the same label for every image


def make_cifar10_for_accuracy(root: Path, count: int) -> Path:
    """CIFAR-10 with ``count`` test images, and enough others for as many validation images."""
    make_cifar10(root)
    write_batch(root / cifar10_files.FOLDER / cifar10_files.TEST_FILE, count, seed=9)
    return root


def measured_by_one_process(cluster: Cluster, command: str) -> Mapping[str, float]:
    """The metrics of the cluster's run, measured by one process."""
    process = cluster.nodes[0].start([sys.executable, "-c", MEASURE, command, "--trainer.accelerator", "cpu"])
    outcome = process.finish()
    metrics: dict[str, Any] = json.loads(next(line for line in outcome.out.splitlines() if line.startswith("{")))
    return metrics


def last_step(metrics: Mapping[tuple[str, int], float]) -> int:
    return max(step for _, step in metrics)
