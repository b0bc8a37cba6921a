"""What the user has given, in flags and in ``--config`` files, before the parser adds all defaults."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_app.command_line.flags import COMMANDS, flag_names, flag_values
from lightning_app.command_line.given_values import CONFIG_FLAGS

_CLASSES = ("model", "data", "optimizer", "lr_scheduler")


def split_at_command(arguments: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """What comes before the command (``--config FILE``), the command, and what comes after it; no command is None."""
    starts_with_flag = bool(arguments) and arguments[0].startswith("-")
    for position, word in enumerate(arguments if starts_with_flag else arguments[:1]):
        if word in COMMANDS and (position == 0 or arguments[position - 1] not in CONFIG_FLAGS):
            return list(arguments[:position]), word, list(arguments[position + 1 :])
    return list(arguments), None, []


def given_settings(command: str, before: Sequence[str], flags: Sequence[str]) -> dict[str, Any]:
    """The settings of a command, nested as in a ``--config`` file; of those given twice the last one counts.

    A file that can't be read counts as empty: the parser reads it next, and reports the error.

    Args:
        command: The command.
        before: The arguments before the command. Their files have a section for each command.
        flags: The arguments after the command, with their full names.
    """
    settings: dict[str, Any] = {}
    for _, value in flag_values(before, *CONFIG_FLAGS):
        section = _read(value).get(command)
        _merge(settings, _with_classes(section) if isinstance(section, Mapping) else {})
    for name, value in flag_values(flags, *flag_names(flags), "-c"):
        given = _read(value) if name in CONFIG_FLAGS else _nested(name.removeprefix("--").split("."), value)
        _merge(settings, _with_classes(given))
    return settings


def class_of(settings: Mapping[str, Any], part: str) -> str | None:
    """The class path of ``model`` or ``data``; None if no class is given."""
    section = settings.get(part)
    class_path = section.get("class_path") if isinstance(section, Mapping) else None
    return class_path if isinstance(class_path, str) else None


def text_of(settings: Mapping[str, Any], *names: str) -> str | None:
    """A setting that is a text, such as ``trainer``, ``default_root_dir``; None if it isn't given or null."""
    value: Any = settings
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value not in ("", "null") else None


def is_same_class(one: str, other: str) -> bool:
    """Whether two class paths mean one class, which can be given as ``CifarNet``, too, or by its module."""
    short = "." not in one or "." not in other
    return one.rpartition(".")[2] == other.rpartition(".")[2] and (
        short or one.partition(".")[0] == other.partition(".")[0]
    )


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The settings in a file; none if it can't be read. A device or a pipe isn't read: it could be endless."""
    try:
        content = _parse(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _nested(names: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(names):
        value = {name: value}
    return dict(value)


def _with_classes(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_class(value) if name in _CLASSES else value for name, value in settings.items()}


def _as_class(value: Any) -> Any:
    """A model or data as the parser takes it: a class path, a file, or the settings themselves, also as text."""
    if not isinstance(value, str):
        return value
    if value == "null":
        return None
    return _read(value) or {"class_path": value}


def _merge(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            section = settings.get(name)
            settings[name] = section if isinstance(section, dict) else {}
            _merge(settings[name], value)
        else:
            settings[name] = value


def _read(path_or_text: str) -> Mapping[str, Any]:
    content = read_yaml(Path(path_or_text)) or _parse(path_or_text)
    return content if isinstance(content, Mapping) else {}


def _parse(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
