"""Runs a job's script as Azure ML does: what the script logs is sent before its process ends.

Usage: ``python run_script.py SCRIPT [ARGUMENT ...]``. Azure ML puts such a program around the script of a
``ScriptRunConfig``, and not around its ``command``. It imports nothing of this project, because the snapshot may have
packages of the same names.
"""

import runpy
import sys
from pathlib import Path

_SECONDS = 300  # as azureml-core's own


def main() -> None:
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(script).resolve().parent)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        _flush()


def _flush() -> None:
    """Sends what azureml-core still holds, if the script has used it."""
    if "azureml.core.run" in sys.modules:
        from azureml.core import Run

        flush = getattr(Run.get_context(), "flush", None)
        if flush is not None:
            flush(timeout_seconds=_SECONDS)


if __name__ == "__main__":
    main()
