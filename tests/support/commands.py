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

    @property
    def problems(self) -> str:
        """Standard error without the notes about what was decided."""
        return "".join(line for line in self.err.splitlines(True) if not line.startswith("note: "))


Command = Callable[..., Outcome]


def environment() -> dict[str, str]:
    """The variables of this process, without those that affect a training or an export."""
    removed = ("AZUREML_", "MLFLOW_", "ORT_", "PL_GLOBAL_SEED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def without_comments(request: str) -> str:
    """What a dry run prints, without the lines about the SDK and the cost, which differ from machine to machine."""
    return "".join(line for line in request.splitlines(True) if not line.startswith("# "))


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lightning_app", *arguments]


def without_privileges() -> tuple[str, ...]:
    """A command prefix: root can read and write all files unless it drops these privileges."""
    drop = "-dac_override,-dac_read_search"
    return ("setpriv", "--bounding-set", drop, "--inh-caps", drop) if os.getuid() == 0 else ()
