"""``python -m lightning_app.compare_weights A B``: which weights of two checkpoints differ, by bits.

The last line that it prints is a JSON list of their names. A rehearsal with evictions asks it.
"""

import json
import sys
from pathlib import Path

import torch

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.errors import UsageError, one_line


def main() -> None:
    try:
        one, other = (read_checkpoint(Path(path))["state_dict"] for path in sys.argv[1:3])
    except UsageError as error:
        sys.exit(f"error: {one_line(error)}")
    names = [name for name in {**one, **other} if not _are_equal(one.get(name), other.get(name))]
    print(json.dumps(names))


def _are_equal(one: object, other: object) -> bool:
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return one is None and other is None
    # as bytes, because NaN differs from itself
    same_form = one.shape == other.shape and one.dtype == other.dtype
    return same_form and torch.equal(_bytes(one), _bytes(other))


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


if __name__ == "__main__":
    main()
