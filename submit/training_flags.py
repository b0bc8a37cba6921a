"""The training's own flags as submit reads them: what they name, and whether the training accepts them."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

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


_CLASS_FLAGS = ("--model", "--data", "--model.class_path", "--data.class_path")
_FILE_FLAGS = ("--config", "-c", "--model.weights", "--model.init_args.weights", "--ckpt_path")
_NO_FILES = ("", "DEFAULT", "default", "none", "None", "null")  # --model.weights takes these, too


def flag_values(arguments: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Flags and their values, written as ``--flag value`` or ``--flag=value``."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            yield name, value if equals else next(iter(arguments[position + 1 : position + 2]), "")


def file_arguments(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Flags and the files they name."""
    return [(flag, value) for flag, value in flag_values(arguments, _FILE_FLAGS) if value not in _NO_FILES]


def class_paths(folder: Path, arguments: Sequence[str]) -> list[str]:
    """Import paths of models, datamodules and whatever else configuration files choose."""
    chosen = [path for _, value in flag_values(arguments, _CLASS_FLAGS) for path in _paths_in(_parsed(value))]
    for _, value in flag_values(arguments, ("--config", "-c")):
        chosen += _class_paths_in(_content(folder / value))
    return list(dict.fromkeys(chosen))


def _paths_in(value: Any) -> list[str]:
    """``--model`` takes an import path, or a mapping that holds one."""
    return [value] if isinstance(value, str) else _class_paths_in(value)


def _class_paths_in(content: Any) -> list[str]:
    if isinstance(content, dict):
        here = [content[key] for key in ("class_path", "model", "data") if isinstance(content.get(key), str)]
        return here + [path for value in content.values() for path in _class_paths_in(value)]
    if isinstance(content, list):
        return [path for value in content for path in _class_paths_in(value)]
    return []


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None  # the training program's own parser says what is wrong with it


def _content(path: Path) -> Any:
    try:
        return _parsed(path.read_text())
    except (OSError, ValueError):
        return None  # that the file can't be read is told elsewhere
