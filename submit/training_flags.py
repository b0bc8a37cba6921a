"""The training's own flags as submit reads them: what they name, and whether the training accepts them."""

import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_app.command_line.flags import flag_values
from submit.errors import SubmitError

_TIMEOUT = 120.0  # seconds
_SECONDS_A_LIST = 5.0
_PROGRAM = ("-m", "lightning_app.check_flags")
_NOT_CHECKED = (
    "warning: the training's flags are not checked, because torch isn't installed here; to check them, install "
    "lightning-azureml with its dependencies, or try the flags with python -m submit rehearse --limit 1"
)


def check_training_flags(flags: Sequence[str], folder: Path) -> None:
    """Lets the training check its flags in a process; without torch, which that needs, a warning says so.

    Raises:
        SubmitError: The training doesn't accept a flag or its value.
    """
    for message in training_flag_errors([flags], folder):
        raise SubmitError(f"the training doesn't accept its flags: {message}")


def training_flag_errors(flag_lists: Sequence[Sequence[str]], folder: Path) -> list[str]:
    """What the training says against lists of flags, each error once; one process checks them all.

    Raises:
        SubmitError: The training can't check flags.
    """
    if importlib.util.find_spec("torch") is None:
        if any(flag_lists):
            print(_NOT_CHECKED, file=sys.stderr)
        return []
    seconds = _TIMEOUT + _SECONDS_A_LIST * len(flag_lists)
    try:
        done = subprocess.run(
            [sys.executable, *_PROGRAM],
            cwd=folder,
            input=json.dumps([list(flags) for flags in flag_lists]),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise SubmitError(
            f"the training's flags couldn't be checked within {seconds:.0f} s; python -m lightning_app.fit "
            f"{shlex.join(flag_lists[0])} --print_config should print its settings"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise SubmitError(f"the training can't check its flags: {lines[-1].removeprefix('error: ')}")
    return list(dict.fromkeys(message for message in json.loads(done.stdout.splitlines()[-1]) if message))


_CLASS_FLAGS = ("--model", "--data", "--model.class_path", "--data.class_path")
_FILE_FLAGS = ("--config", "-c", "--model.weights", "--model.init_args.weights", "--ckpt_path", "--init_from")
_NO_FILES = ("", "DEFAULT", "default", "none", "None", "null")  # values of --model.weights that are no files


def file_arguments(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Flags that name files, with the files."""
    return [(flag, value) for flag, value in flag_values(arguments, *_FILE_FLAGS) if value not in _NO_FILES]


def class_paths(folder: Path, arguments: Sequence[str]) -> list[str]:
    """Import paths of models, datamodules and other classes that flags and configuration files name."""
    paths = [path for _, value in flag_values(arguments, *_CLASS_FLAGS) for path in _paths_in(_parsed(value))]
    for _, value in flag_values(arguments, "--config", "-c"):
        paths += _class_paths_in(_content(folder / value))
    return list(dict.fromkeys(paths))


def trains_on_generated_images(folder: Path, arguments: Sequence[str]) -> bool:
    """Whether a training with these flags and no path to data generates its images, as this project's classes do."""
    contents = [_content(folder / value) for _, value in flag_values(arguments, "--config", "-c")]
    foreign = [path for path in class_paths(folder, arguments) if not _is_own(path)]
    return not foreign and not any(_has_data_path(content) for content in contents)


def _is_own(class_path: str) -> bool:
    return "." not in class_path or class_path.partition(".")[0] in ("models", "datamodules")


def _has_data_path(content: Any) -> bool:
    if isinstance(content, dict):
        return bool(content.get("data_path")) or any(_has_data_path(value) for value in content.values())
    return isinstance(content, list) and any(_has_data_path(value) for value in content)


def _paths_in(value: Any) -> list[str]:
    """``--model`` is an import path or a mapping with one."""
    return [value] if isinstance(value, str) else _class_paths_in(value)


def _class_paths_in(content: Any) -> list[str]:
    if isinstance(content, dict):
        named = [content[key] for key in ("class_path", "model", "data") if isinstance(content.get(key), str)]
        return named + [path for value in content.values() for path in _class_paths_in(value)]
    if isinstance(content, list):
        return [path for value in content for path in _class_paths_in(value)]
    return []


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None  # the training's own parser reports it


def _content(path: Path) -> Any:
    try:
        return _parsed(path.read_text())
    except (OSError, ValueError):
        return None  # check_named_files reports a file that can't be read
