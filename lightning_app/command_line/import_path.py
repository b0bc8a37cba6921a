"""Where modules are imported from: those of the current folder are found, and may not hide this program's own."""

import importlib.util
import os
import sys
from pathlib import Path

from lightning_app.errors import UsageError

OWN_PACKAGES = ("datamodules", "models")
_HOME = Path(__file__).resolve().parents[2]


def append_current_folder() -> None:
    """Lets the console script find the user's modules in the current folder, as ``python -m`` does.

    Raises:
        UsageError: The current folder doesn't exist any more.
    """
    try:
        folder = str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError("the current folder doesn't exist any more; change to another one") from error
    if folder not in sys.path and "" not in sys.path and not getattr(sys.flags, "safe_path", False):
        sys.path.append(folder)


def check_own_packages() -> None:
    """Checks that ``models`` and ``datamodules`` are this program's own, which have common names.

    Raises:
        UsageError: A folder or a file of the same name is found first.
    """
    for name in OWN_PACKAGES:
        spec = importlib.util.find_spec(name)
        own = _HOME / name / "__init__.py"
        if spec is None or spec.origin is None:
            raise UsageError(f"this program's own package {name!r} is missing in {str(_HOME)!r}; install it again")
        found = Path(spec.origin).resolve()
        if found != own:
            raise UsageError(_shadow_message(name, found.parent if found.name == "__init__.py" else found))


def _shadow_message(name: str, found: Path) -> str:
    message = f"{str(found)!r} takes the place of this program's own package {name!r}; rename it"
    on_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(found.parent) in {str(Path(folder or ".").resolve()) for folder in on_path if folder}:
        return f"{message}, or take its folder off PYTHONPATH"
    if found.parent == Path.cwd():
        return f"{message}, or run the same command by lightning-azureml in place of python -m lightning_app"
    return message
