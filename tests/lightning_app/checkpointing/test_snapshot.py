"""A copy of what a checkpoint holds, which training can't change any more."""

import io
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lightning_app.checkpointing.snapshot import SnapshotMemory


def saved_size(content: Any) -> int:
    file = io.BytesIO()
    torch.save(content, file)
    return len(file.getvalue())


def test_nothing_that_training_changes_afterwards_is_in_a_snapshot() -> None:
    class Counter:
        def __init__(self) -> None:
            self.values = [1]

    weight, array, numbers, counter = torch.ones(3), np.ones(3), [1, {"a": [2]}], Counter()
    content = {"weight": weight, "deep": ({"w": weight[1:]},), "array": array, "numbers": numbers, "own": counter}

    snapshot = SnapshotMemory().take(content).content
    weight.add_(1)
    array += 1
    numbers[1]["a"].append(3)  # type: ignore[index]
    counter.values.append(2)

    assert torch.equal(snapshot["weight"], torch.ones(3))
    assert torch.equal(snapshot["deep"][0]["w"], torch.ones(2))
    assert snapshot["array"].tolist() == [1, 1, 1]
    assert snapshot["numbers"] == [1, {"a": [2]}]
    assert snapshot["own"].values == [1]


def test_a_second_snapshot_uses_the_memory_of_the_first_when_that_is_given_back() -> None:
    memory, content = SnapshotMemory(), {"w": torch.rand(4, 4), "b": torch.rand(4), "n": torch.tensor(1)}
    first = memory.take(content)
    second = memory.take(content)
    addresses = {tensor.data_ptr() for tensor in first.buffers}
    assert addresses.isdisjoint(tensor.data_ptr() for tensor in second.buffers)

    memory.give_back(first)
    content = {"more": torch.rand(2)} | {name: tensor + 1 for name, tensor in content.items()}
    third = memory.take(content)

    assert addresses < {tensor.data_ptr() for tensor in third.buffers}
    assert all(torch.equal(third.content[name], tensor) for name, tensor in content.items())


def test_one_tensor_under_two_names_and_a_part_of_a_large_one_take_no_more_room_than_they_need() -> None:
    weight = torch.rand(100_000)
    content = {"a": weight, "b": weight.detach(), "part": weight[:10]}

    snapshot = SnapshotMemory().take(content).content

    assert snapshot["a"].data_ptr() == snapshot["b"].data_ptr()
    assert saved_size(snapshot) < 1.01 * saved_size({"a": weight})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.rand(3, 4).T,
        torch.rand(3, 1).expand(3, 4),
        torch.rand(0, 3),
        torch.tensor(True),
        torch.rand(2, dtype=torch.complex64).conj(),
        torch.eye(3).to_sparse(),
        nn.Parameter(torch.rand(3)),
        torch.rand(2).to(torch.bfloat16),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}-{tensor.layout}",
)
def test_tensors_of_any_kind_are_copied(tensor: torch.Tensor) -> None:
    copied = SnapshotMemory().take([tensor]).content[0]

    assert copied.is_sparse or copied.data_ptr() != tensor.data_ptr() or not tensor.numel()
    assert not copied.requires_grad
    assert (copied.dtype, copied.layout) == (tensor.dtype, tensor.layout)
    as_list = [each.to_dense() if each.is_sparse else each for each in (copied, tensor.detach())]
    assert torch.equal(*as_list)
    if tensor.layout == torch.strided and tensor._is_view() is False and tensor.numel():
        assert copied.stride() == tensor.stride()


def test_a_state_dict_keeps_its_order_and_the_versions_of_its_modules() -> None:
    state = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()

    copied = SnapshotMemory().take(state).content

    assert type(copied) is OrderedDict
    assert list(copied) == list(state)
    assert copied._metadata == state._metadata  # type: ignore[attr-defined]  # of torch's
    assert copied._metadata["1"]["version"] == 2
