"""The number of threads on a CPU, where more than one makes a small network slower."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

_LARGEST_BATCH = 32
_CHOSEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # variables by which the user chooses


@contextmanager
def limited_threads(model: pl.LightningModule, datamodule: Any) -> Iterator[None]:
    """One thread for a small network in batches of up to 32 images, unless the environment says how many.

    Threads of OpenMP wait actively for one another. On a busy machine two threads trained CifarNet at 4 to 26 images a
    second in batches of 4, one thread at 860 to 1,200. The rule depends on the command alone, so that a resumed run,
    whose sums must be rounded in the same way, has as many threads as before. After the training it is as it was.
    """
    small = (
        getattr(model, "is_small", False) and getattr(datamodule, "batch_size", _LARGEST_BATCH + 1) <= _LARGEST_BATCH
    )
    before = torch.get_num_threads()
    if small and not any(name in os.environ for name in _CHOSEN_BY):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
