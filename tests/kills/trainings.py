"""The trainings that are disturbed: what runs, and on how many processes."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import make_cifar10, make_image_folder

TORCHRUN = (str(Path(sys.executable).with_name("torchrun")), "--nproc_per_node=2", "--standalone")
_COMMON = ("--trainer.accelerator", "cpu", "--trainer.callbacks+=tests.kills.phases.Phases")
_CIFAR = (
    *("--data_path", "{data}/cifar", "--data.augment", "true", "--data.val_split", "40", "--learning_rate", "0.02"),
    *("--trainer.log_every_n_steps", "7", "--trainer.val_check_interval", "10", "--checkpoint_every", "7"),
)
_RESNET = (
    *("--model", "ResNetTransfer", "--model.weights", "none", "--model.freeze_backbone", "false"),
    *("--data_path", "{data}/photos", "--data.image_size", "32", "--learning_rate", "0.002"),
    *("--trainer.log_every_n_steps", "4", "--batch_size", "4", "--num_epochs", "4", "--checkpoint_every", "2"),
)


@dataclass(frozen=True)
class Training:
    """A training of some seconds.

    Args:
        name: For the tables.
        flags: Of ``fit``; ``{data}`` is the folder of the images.
        steps: Optimizer steps of the whole training.
        interval: Steps of an epoch, at the end of which a checkpoint is saved in any case; those within are skipped
            while one is being written.
        processes: How many train together.
        launcher: What starts them; nothing: Lightning.
    """

    name: str
    flags: tuple[str, ...]
    steps: int
    interval: int
    processes: int = 1
    launcher: tuple[str, ...] = ()

    def command(self, data: Path) -> list[str]:
        flags = [flag.replace("{data}", str(data)) for flag in (*_COMMON, *self.flags)]
        return [*(self.launcher or (sys.executable,)), "-m", "lightning_app.fit", *flags]


_TWO = ("--trainer.devices", "2", "--batch_size", "4", "--num_epochs", "6")
CIFAR = Training("CifarNet", (*_CIFAR, "--batch_size", "8", "--num_epochs", "6"), 120, 20)
SHORT = Training("CifarNet", (*_CIFAR, "--batch_size", "8", "--num_epochs", "3"), 60, 20)
RESNET = Training("ResNetTransfer", (*_RESNET, "--num_workers", "0"), 24, 6)
WORKERS = Training("ResNetTransfer, 2 workers", (*_RESNET, "--num_workers", "2"), 24, 6)
LIGHTNING_TWO = Training("2 processes of Lightning", (*_CIFAR, *_TWO), 120, 20, 2)
TORCHRUN_TWO = Training("2 processes of torchrun", (*_CIFAR, *_TWO), 120, 20, 2, TORCHRUN)


def make_data(folder: Path) -> Path:
    make_cifar10(folder / "cifar")
    make_image_folder(folder / "photos", ("train", "val", "test"), count=12)
    return folder
