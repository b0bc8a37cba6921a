"""Commands of this project that run in processes of their own."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """Exit status, standard output and standard error of a command."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


def environment() -> dict[str, str]:
    """The variables of this process, without those that affect a training."""
    removed = ("AZUREML_", "MLFLOW_", "PL_GLOBAL_SEED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lightning_app", *arguments]


def without_privileges() -> tuple[str, ...]:
    """A command prefix: root can read and write all files unless it drops these privileges."""
    drop = "-dac_override,-dac_read_search"
    return ("setpriv", "--bounding-set", drop, "--inh-caps", drop) if os.getuid() == 0 else ()
