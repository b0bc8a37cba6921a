"""Two nodes whose network breaks while they train."""

from pathlib import Path

import pytest

from tests.support.clusters import start
from tests.support.images import make_cifar10
from tests.support.namespaces import Cluster

SECONDS = 200.0  # ten times what is usual: 10 s of silence and some time to stop


@pytest.mark.slow
@pytest.mark.namespaces
@pytest.mark.parametrize("shape", ["pytorch_for_devices", "torchrun"])
def test_both_nodes_end_and_name_the_other(shape: str, tmp_path: Path) -> None:
    data = make_cifar10(tmp_path / "cifar", images_per_file=2000)
    training = ["--data_path", str(data), "--num_epochs", "50", "--trainer.log_every_n_steps", "50"]
    with Cluster(tmp_path / "cluster", 2) as cluster:
        first, second = start(shape, cluster, 1, training)
        first.wait_for("epoch=3, batch=  100")  # heartbeats have arrived since training began
        cluster.disconnect(1)

        remaining = cluster.remaining_processes(SECONDS)
        statuses = [process.finish(SECONDS).status for process in (first, second)]

    assert (remaining, statuses[0] != 0, statuses[1] != 0) == ([], True, True), (first.logs(), second.logs())
    assert "FAILED: rank 1 (node 1, 10.77.0.2) can't be reached, last seen in training, epoch" in first.err
    assert "between it and rank 0 (node 0, 10.77.0.1)" in first.err
    assert "FAILED: rank 0 (node 0, 10.77.0.1) can't be reached" in second.err
    assert "rank 1 (node 1)" in second.err
    assert "FAILED: rank 1" in (cluster.nodes[0].folder / "outputs" / "failures.txt").read_text()
    assert "FAILED: rank 0" in (cluster.nodes[1].folder / "outputs" / "failures-node1.txt").read_text()
