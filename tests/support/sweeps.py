"""Sweeps that tests describe by their flags."""

import importlib.util
import shlex

import pytest

from submit.commands.flags import job_options
from submit.commands.sweep import sweep_options
from submit.main import parse_command
from submit.sweep.describe import describe_sweep
from submit.sweep.sweep import Sweep

SDK = "azureml-train-core>=1.61,<1.62"
RATE = "--param learning_rate=choice(0.001,0.01)"
BEST = "--metric train_loss --goal minimize"


def sweep_of(flags: str) -> Sweep:
    _, options, training = parse_command(["sweep", *shlex.split(flags)])
    return describe_sweep(job_options(options), sweep_options(options), training)


def require_hyperdrive() -> None:
    """HyperDrive's part of the SDK, which the sweeps' own tests can't do without."""
    if importlib.util.find_spec("azureml.train") is None:
        pytest.fail(f"HyperDrive's part of the SDK isn't installed: pip install '{SDK}'")
