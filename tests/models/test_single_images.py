"""Training batches of one image, over which batch norms can't compute a variance."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models.batch_norms import running_statistics_for_single_values
from tests.support.images import make_image_folder
from tests.support.in_process import run_in_process


def test_a_batch_norm_of_one_value_uses_its_running_statistics_and_trains_on_afterwards() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.BatchNorm1d(12))
    image = torch.rand(1, 3, 2, 2)

    with running_statistics_for_single_values(network) as used:
        network(image)

    assert used == [network[2]]
    assert network[0].num_batches_tracked == 1  # four values per channel: it is trained as always
    assert network[2].num_batches_tracked == 0
    assert all(module.training for module in network)


@pytest.mark.parametrize(("batch_size", "status"), [(2, 0), (1, 2)])
def test_small_images_train_with_a_last_batch_of_one_but_not_one_by_one(
    batch_size: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_image_folder(tmp_path / "images", count=2)
    (tmp_path / "images/train/light/light1.jpg").unlink()
    network = ["--model=ResNetTransfer", "--model.weights=none", "--model.freeze_backbone=false"]

    outcome = run_in_process(
        "fit", *network, "--data.image_size=32", "--data_path=images", f"--batch_size={batch_size}", "--num_epochs=1"
    )

    assert outcome.status == status, outcome.err
    if status:
        assert outcome.err == (
            "error: a training batch of one image: batch norms of ResNetTransfer can't be trained on one image of "
            "32 x 32 pixels; give --batch_size 2 or more, and at least two images\n"
        )
    else:
        assert torch.load("outputs/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
