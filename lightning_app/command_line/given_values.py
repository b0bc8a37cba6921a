"""Values of flags before anything else reads them: text, files that are files, and YAML of a bounded size.

It loads neither torch nor Lightning.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_app.command_line.flags import COMMANDS, short_name
from lightning_app.errors import UsageError, shown

CONFIG_FLAGS = ("--config", "-c")
_CONFIG_BYTES = 1_000_000  # hundreds of times a usual one
_DIGITS = 400  # more than a float has; Python refuses to read numbers of more than 4,300
_NODES, _DEPTH = 50_000, 100  # of a YAML text, with its aliases written out

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, ten times as fast, where it was built

FILE, FOLDER, EITHER = "a file", "a folder", "a file or a folder"
_PATHS = {
    "--ckpt_path": FILE,
    "--config": FILE,
    "-c": FILE,
    "--csv": FILE,
    "--data.data_path": FOLDER,
    "--init_from": FILE,
    "--model.weights": FILE,
    "--resume": EITHER,
    "--trainer.default_root_dir": FOLDER,
}
_NO_PATHS = {"--resume": ("auto", "never"), "--model.weights": ("DEFAULT", "none")}
# flags of classes and of groups of settings: the parser reads their value from a file if one has that name
_READ_BY_PARSER = re.compile(
    r"--(model|data|optimizer|lr_scheduler|azureml|trainer(\.(accelerator|callbacks|logger|plugins|profiler|strategy))?)"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def check_given_values(arguments: Sequence[str]) -> None:
    """Checks the flags of a command, their full names used, and the content of the configuration files.

    Raises:
        UsageError: A value can't be used as text, as a number or as the name of a file.
    """
    for flag, value in given_values(arguments):
        check_value(flag, value)
        if flag in CONFIG_FLAGS:
            for setting, nested in _leaves(read_config(flag, value)):
                check_value(setting, nested)
        elif _READ_BY_PARSER.fullmatch(flag) and _is_file(value):
            read_config(flag, value)


def given_values(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each flag that has a value, with the value."""
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if not flag.startswith("-"):
            continue
        following = arguments[position + 1 : position + 2]
        if equals:
            yield flag, value
        elif following and not following[0].startswith("--"):
            yield flag, following[0]


def check_value(flag: str, value: str) -> None:
    """Raises UsageError if the value of a flag is no text, or names something that can't be read as a file."""
    if reason := _bad_text(value):
        raise UsageError(f"{_name(flag)} {shown(value)}: {reason}")
    if flag in _PATHS and value not in _NO_PATHS.get(flag, ("null",)):
        _check_path(flag, value, _PATHS[flag])
    elif kind := _special_file(value):
        raise UsageError(f"{_name(flag)} {shown(value)}: is {kind}, which can't be read as settings")
    elif reason := yaml_problem(value):
        raise UsageError(f"{_name(flag)} {shown(value)}: {reason}")


def read_config(flag: str, name: str) -> Any:
    """The content of a configuration file.

    Raises:
        UsageError: It isn't a file of UTF-8 text in YAML, or holds no settings.
    """
    given = f"{_name(flag)} {name[:200]!r}"
    path = Path(name)
    if not path.exists():
        raise UsageError(f"{given}: no such file")
    size = path.stat().st_size
    if size > _CONFIG_BYTES:
        raise UsageError(f"{given}: has {size:,} bytes; expected a file of settings, at most {_CONFIG_BYTES:,} bytes")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{given}: is not UTF-8 text; expected a file of settings in YAML") from error
    except OSError as error:
        raise UsageError(f"{given}: can't be read ({error.strerror})") from error
    if reason := yaml_problem(text):
        raise UsageError(f"{given}: {reason}")
    try:
        content = yaml.load(text, Loader=_LOADER)  # noqa: S506  it is a safe one
    except RecursionError as error:
        raise UsageError(f"{given}: is nested more than {_DEPTH} deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{given}: is not valid YAML{_place(error)}; expected NAME: VALUE lines") from error
    if not isinstance(content, Mapping):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise UsageError(f"{given}: holds {found}; expected settings, NAME: VALUE lines")
    return content


def yaml_problem(text: str) -> str | None:
    """Why a YAML text is not worth reading: it is nested too deeply, or too large with its aliases written out."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # anchor and number of nodes of each open collection
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, 1))
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, count = open_nodes.pop()
                if anchor is not None:
                    sizes[anchor] = count
                open_nodes[-1] = (open_nodes[-1][0], open_nodes[-1][1] + count)
            elif isinstance(event, yaml.NodeEvent):  # a scalar or an alias
                if isinstance(event, yaml.AliasEvent) and event.anchor in {anchor for anchor, _ in open_nodes}:
                    return f"the alias *{event.anchor} stands within itself"
                count = sizes.get(event.anchor or "", 1) if isinstance(event, yaml.AliasEvent) else 1
                open_nodes[-1] = (open_nodes[-1][0], open_nodes[-1][1] + count)
            if len(open_nodes) > _DEPTH:
                return f"is nested more than {_DEPTH} deep"
            if open_nodes[-1][1] > _NODES:
                return f"holds more than {_NODES:,} values, aliases written out"
    except yaml.YAMLError:
        return None  # the reader of the text reports it
    return None


def _name(flag: str) -> str:
    return short_name(flag.removeprefix("--")) if flag.startswith("--") else flag


def _bad_text(value: str) -> str | None:
    if "\0" in value:
        return "holds a NUL character, which no file name and no setting has"
    if re.search(rf"\d{{{_DIGITS + 1},}}", value):
        return f"a number of more than {_DIGITS} digits can't be used"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8 text"
    return None


def _check_path(flag: str, value: str, expected: str) -> None:
    given = f"{_name(flag)} {value[:200]!r}"
    if not value.strip():
        raise UsageError(f"{given}: expected {expected}")
    if _URL.match(value):
        raise UsageError(f"{given}: is a URL; expected {expected} on this machine, so copy it here first")
    try:
        mode = Path(value).stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return  # the code that uses it says what is missing, or creates it
        raise UsageError(f"{given}: can't be read ({error.strerror}); give {expected}") from error
    if kind := _kind(mode):
        raise UsageError(f"{given}: is {kind}; expected {expected}")
    if expected == FILE and stat.S_ISDIR(mode):
        raise UsageError(f"{given}: is a folder; expected a file")
    if stat.S_ISREG(mode) and flag != "--csv" and not os.access(value, os.R_OK):
        raise UsageError(f"{given}: can't be read (Permission denied)")


def _special_file(value: str) -> str | None:
    try:
        return _kind(Path(value).stat().st_mode)
    except (OSError, ValueError):
        return None


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):
        return False


def _kind(mode: int) -> str | None:
    """What a file is that can't be read to its end; None for files and folders."""
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else None


def _leaves(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts in a configuration file, each with the flag that stands for it."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            nested = path if name == "init_args" else f"{path}.{name}" if path else f"--{name}"
            yield from _leaves(value, "" if not path and name in COMMANDS else nested)
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value, path)
    elif isinstance(content, str):
        yield path.removesuffix(".class_path") or "--config", content


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" at line {mark.line + 1}"
