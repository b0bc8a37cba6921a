"""How many threads train a small network."""

from collections.abc import Iterator

import pytest
import torch

from datamodules import CIFAR10DataModule
from lightning_app.trainer.threads import limited_threads
from models import CifarNet, ResNetTransfer


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("model", "batch_size", "variables", "expected"),
    [
        (CifarNet, 4, {}, 1),
        (CifarNet, 32, {}, 1),
        (CifarNet, 33, {}, 2),
        (CifarNet, 4, {"OMP_NUM_THREADS": "2"}, 2),
        (lambda: ResNetTransfer(weights="none"), 4, {}, 2),
    ],
)
def test_a_small_network_trains_with_one_thread_unless_the_environment_says_otherwise(
    model: type[CifarNet], batch_size: int, variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with limited_threads(model(), CIFAR10DataModule(batch_size=batch_size)):
        used = torch.get_num_threads()

    assert (used, torch.get_num_threads()) == (expected, 2)
