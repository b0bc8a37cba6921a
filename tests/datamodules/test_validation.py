"""Settings out of range are refused in one line, before any work."""

from collections.abc import Callable
from typing import Any

import pytest

from datamodules import CIFAR10DataModule, DataError, ImageFolderDataModule
from datamodules.validation import max_workers, require, require_batch_fits, shown

BOUNDS = {
    "batch_size": ("--batch_size", 1, 1_000_000),
    "num_workers": ("--num_workers", 0, max_workers()),
    "image_size": ("--data.image_size", 1, 4_096),
}
SETTINGS: list[tuple[Callable[..., Any], str]] = [
    (CIFAR10DataModule, "batch_size"),
    (CIFAR10DataModule, "num_workers"),
    *((ImageFolderDataModule, name) for name in BOUNDS),
]


@pytest.mark.parametrize(("module", "name"), SETTINGS)
def test_a_setting_has_a_smallest_and_a_largest_value(module: Callable[..., Any], name: str) -> None:
    flag, smallest, largest = BOUNDS[name]
    for value in (smallest, largest):
        module(**{name: value})

    for value in (smallest - 1, largest + 1, 10**9, -(10**30), None, True, "4", 4.0):
        with pytest.raises(
            DataError, match=rf"^{flag} .*: expected a whole number from {smallest} to {largest:,}(, or auto)?$"
        ):
            module(**{name: value})


@pytest.mark.parametrize("value", [-1, None, True])
def test_the_validation_images_are_counted(value: Any) -> None:
    with pytest.raises(DataError, match=r"--data\.val_split .*: expected a whole number of at least 0"):
        CIFAR10DataModule(val_split=value)


@pytest.mark.parametrize("digits", [50, 4_000, 5_000])
def test_a_long_number_is_shortened(digits: int) -> None:
    with pytest.raises(DataError) as error:
        require("--batch_size", 10**digits, at_least=1, at_most=9)

    assert len(str(error.value)) < 120


def test_values_are_shown_as_they_are_given() -> None:
    assert [shown(value) for value in (None, 5, "x", True)] == ["null", "5", "x", "True"]


def test_a_batch_that_no_memory_can_hold_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"--batch_size 1000000: a batch of images of 4096 x 4096 pixels needs \d+ GB of me"
    ):
        require_batch_fits(1_000_000, 4_096, count=1_000_000)

    require_batch_fits(1_000_000, 4_096, count=2)  # no batch has more images than there are
