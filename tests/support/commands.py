"""Commands of this project as processes of their own, and what they leave."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, standard output and standard error."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


def environment() -> dict[str, str]:
    foreign = ("AZUREML_", "MLFLOW_", "PL_GLOBAL_SEED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lightning_app", *arguments]


def without_privileges() -> tuple[str, ...]:
    """Root may read and write everything, unless it gives that up."""
    drop = "-dac_override,-dac_read_search"
    return ("setpriv", "--bounding-set", drop, "--inh-caps", drop) if os.getuid() == 0 else ()
