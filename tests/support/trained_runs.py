"""Short trainings whose networks are exported and served."""

from pathlib import Path

from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process

WRONG_WHEN_EXPORTED = """
import torch
from models import CifarNet

class WrongWhenExported(CifarNet):
    '''A network whose exported program has another bias than the network.'''

    def __init__(self, learning_rate: float = 0.1, classes: list[str] = list("0123456789")) -> None:
        super().__init__(learning_rate, classes=classes)
        self.network.fc3.register_forward_hook(self._shifted)

    @staticmethod
    def _shifted(layer, inputs, output):
        return output + 0.01 if torch.compiler.is_exporting() else output
"""


def cifar_run(folder: Path, *flags: str) -> Path:
    """A run of CIFAR Net, or of another model, on a few images of ten classes; 40 of them are for validation."""
    data = folder / "data"
    if not data.exists():
        make_cifar10(data)
    run = folder / "outputs"
    outcome = run_in_process(
        "fit", "--data_path", str(data), "--data.val_split", "40", "--output_dir", str(run), "--num_epochs", "1",
        "--batch_size", "16", "--learning_rate", "0.05", "--trainer.logger", "false", *flags,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    return run
