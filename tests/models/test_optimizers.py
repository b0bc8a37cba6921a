"""Which kernel updates the parameters."""

import pytest
import torch
from torch import Tensor, nn

from models.optimizers import sgd


def layers(width: int, memory_format: torch.memory_format) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3)).to(memory_format=memory_format)


def trained(fused: bool | None, memory_format: torch.memory_format) -> dict[str, Tensor]:
    network = layers(16, memory_format)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=fused)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(memory_format=memory_format)
    for _ in range(3):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize(
    ("width", "memory_format", "is_fused"),
    [
        (16, torch.channels_last, True),
        (128, torch.channels_last, False),
        (128, torch.contiguous_format, True),
    ],
)
def test_parameters_are_updated_by_one_kernel_unless_it_would_copy_many(
    width: int, memory_format: torch.memory_format, is_fused: bool
) -> None:
    optimizer = sgd(list(layers(width, memory_format).parameters()), 0.1, 0.9, None)

    assert optimizer.defaults["fused"] is is_fused


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=["last", "first"])
def test_both_kernels_compute_the_same(memory_format: torch.memory_format) -> None:
    one, each = trained(True, memory_format), trained(None, memory_format)

    assert [name for name in one if not torch.equal(one[name], each[name])] == []
