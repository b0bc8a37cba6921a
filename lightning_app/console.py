"""What the user sees on the console: this project's own lines and real warnings."""

import logging
import sys
import warnings

from pytorch_lightning.utilities import rank_zero_only

from lightning_app.distributed.environment import set_rank_zero

OURS = ("lightning_app", "datamodules", "models")

_KNOWN_HARMLESS = (
    # this project logs at the end of an epoch whatever the interval
    r".*The number of training batches .* is smaller than the logging interval",
    # images in memory need no workers, and image files have --num_workers with a default that is said in --help
    r".*does not have many workers which may be a bottleneck",
    # a data set without validation images is the tutorials' own default, chosen knowingly
    r".*You defined a `validation_step` but have no `val_dataloader`",
    r"Total length of `list` across ranks is zero",
    # a folder with checkpoints in it is what resuming is about, and resume.py decides it
    r".*Checkpoint directory .* exists and is not empty",
    # the arguments are those of the command line, with their short service_names replaced
    r"LightningCLI's args parameter is intended to run from within Python",
    # validate, test and predict need the network of a checkpoint, not the callbacks of the training
    r".*callbacks used to create the checkpoint need to be provided",
    # raised inside Lightning and TensorBoard, about their own use of their dependencies
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    # a sampler of our own under DDP, see datamodules.sampling
    r".*Using `DistributedSampler` with the dataloaders",
)


def set_up_console(rank: int) -> None:
    """Called once, before anything is logged; ``rank`` is that of this process, and only rank 0 speaks."""
    set_rank_zero(rank)
    for pattern in _KNOWN_HARMLESS:
        warnings.filterwarnings("ignore", message=pattern)
    warnings.showwarning = _show_warning
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(lambda record: getattr(rank_zero_only, "rank", 0) == 0)  # one process of a run speaks
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]
        logger.propagate = False


def format_count(number: int, noun: str) -> str:
    """``1 epoch``, ``2,500 steps``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """One line without the source code that raised it."""
    print(f"warning: {' '.join(str(message).split())} ({category.__name__})", file=sys.stderr)
