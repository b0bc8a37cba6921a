"""The console: it shows this project's own messages and the warnings that matter."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TextIO

from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from lightning_app.distributed.environment import set_rank_zero

_OWN_PACKAGES = ("lightning_app", "datamodules", "models")

_ASKED_FOR = ("callbacks", "profilers", "tuner")  # folders of Lightning

_KNOWN_HARMLESS = (
    # images in memory need no workers, and image files have --num_workers
    r".*does not have many workers which may be a bottleneck",
    # no validation images is the default, as in the tutorials
    r".*You defined a `validation_step` but have no `val_dataloader`",
    r"Total length of `list` across ranks is zero",
    # resume.py decides what happens to existing checkpoints
    r".*Checkpoint directory .* exists and is not empty",
    # validate, test and predict load only the network from a checkpoint
    r".*callbacks used to create the checkpoint need to be provided",
    # OnExceptionCheckpoint makes Lightning look for its checkpoint, which isn't there after a good run
    r".*was called without a model. The last model of the previous `fit` call will be used",
    r'.*ckpt_path="last".* is set, but there is no last checkpoint available',
    # saved_settings writes such texts as they are
    r"\s*Unable to serialize instance",
    # raised inside Lightning and TensorBoard, about their own use of their dependencies
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    # this project has its own sampler for DDP, see datamodules.sampling
    r".*Using `DistributedSampler` with the dataloaders",
)


def set_up_console(rank: int) -> None:
    """Sets up logging and warnings; called once, before anything is logged. Only rank 0 prints log messages.

    Args:
        rank: The global rank of this process.
    """
    set_rank_zero(rank)
    for pattern in _KNOWN_HARMLESS:
        warnings.filterwarnings("ignore", message=pattern)
    # Pillow warns of odd metadata and large images, and logs them; datamodules.image_decoding decides what is readable
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.showwarning = _show_warning
    for name in ("pytorch_lightning", "lightning_fabric", "lightning", *_OWN_PACKAGES):
        handler = LineHandler()
        handler.addFilter(lambda record: getattr(rank_zero_only, "rank", 0) == 0)
        handler.addFilter(_was_asked_for)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]
        logger.propagate = False


class LineHandler(logging.Handler):
    """Prints log messages on standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record))


def print_line(text: str, file: TextIO | None = None) -> None:
    """Prints a text, by default on standard output, above a progress bar if there is one.

    If nobody reads the output any more, as after ``| head``, the rest of it is dropped, and training continues.
    """
    stream = file or sys.stdout
    try:
        with tqdm.external_write_mode(file=stream):
            print(text, file=stream, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _was_asked_for(record: logging.LogRecord) -> bool:
    """Whether this is no chatter of Lightning: its callbacks, finders and profilers are there because a flag asks."""
    if record.levelno > logging.INFO or record.name.partition(".")[0] in _OWN_PACKAGES:
        return True
    # most of Lightning's messages have the same logger, but each record knows the file that it comes from
    return Path(record.pathname).parent.name in _ASKED_FOR


def expect_rows_in_each_epoch() -> None:
    """Hides Lightning's warning that no metric is logged in short epochs, for trainings in which they are."""
    warnings.filterwarnings(
        "ignore", message=r".*The number of training batches .* is smaller than the logging interval"
    )


def format_count(number: int, noun: str) -> str:
    """``1 epoch``, ``2,500 steps``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Prints one line, without the source code line that Python adds."""
    print_line(f"warning: {' '.join(str(message).split())} ({category.__name__})", sys.stderr)
