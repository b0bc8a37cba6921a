"""Settings whose defaults YAML can't hold are saved, and read again."""

import enum
from typing import Any

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning.utilities.enums import GradClipAlgorithmType

from lightning_app.command_line.bounds import check_bounds
from lightning_app.command_line.saved_settings import as_yaml, make_plain


class Mode(enum.Enum):
    FAST = "fast"


class Odd:
    """A class of a user's own."""

    def __init__(
        self,
        mode: Mode = Mode.FAST,
        rate: float = np.float64(0.5),
        version: str = torch.__version__,
        clip: Any = GradClipAlgorithmType.NORM,
        device: Any = torch.device("cpu"),  # noqa: B008
    ) -> None:
        self.mode, self.rate = mode, rate


def test_odd_defaults_are_saved_and_read_again() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Odd, "odd", required=False)
    settings = parser.parse_args([f"--odd={__name__}.Odd"])

    make_plain(settings)
    text = as_yaml(parser, settings)

    arguments = yaml.safe_load(text)["odd"]["init_args"]
    assert arguments == {
        "mode": "FAST",
        "rate": 0.5,
        "version": str(torch.__version__),
        "clip": "norm",
        "device": "cpu",
    }
    again = parser.instantiate(parser.parse_string(text))
    assert (again.odd.mode, again.odd.rate) == (Mode.FAST, 0.5)


def test_a_number_of_batches_may_be_a_float() -> None:
    for batches in (0, 1, 2, 2.0, 0.5, 1.0):
        check_bounds(Namespace(trainer=Namespace(limit_train_batches=batches)).as_dict())
