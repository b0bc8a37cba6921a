"""The training's own flags, checked by the training's own program where it can run."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from submit.errors import SubmitError

_SECONDS = 120.0
_PROGRAM = ("-m", "lightning_app.fit")


def check_training_flags(flags: Sequence[str], folder: Path) -> bool:
    """Whether they could be checked, which takes torch: the program parses them in a process of its own.

    Raises:
        SubmitError: The program doesn't take them.
    """
    if importlib.util.find_spec("torch") is None:
        return False
    done = subprocess.run(
        [sys.executable, *_PROGRAM, *flags, "--print_config"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise SubmitError(f"the training doesn't take its flags: {lines[-1].removeprefix('error: ')}")
    return True
