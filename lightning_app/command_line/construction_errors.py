"""Errors of Lightning's Trainer and of the classes that flags name, in one line with the flags that are to blame."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lightning_app.command_line.flags import short_name
from lightning_app.command_line.parse_errors import BAD_CLASS, missing_words
from lightning_app.errors import UsageError, one_line, shown

_LIBRARIES = ("pytorch_lightning.", "lightning_fabric.", "lightning.", "torch.", "torchmetrics.", "torchvision.")
# the parser's words where a flag takes several types, of which one is the class
_ONE_OF_TYPES = re.compile(r"Errors: - (?P<reason>.*?) - Expected a .*?class_path='(?P<class>[^']+)'")


@contextlib.contextmanager
def named_class_errors(settings: Mapping[str, Any]) -> Iterator[None]:
    """Turns the error of a class of a library, such as a package that it lacks, into one line.

    The errors of the user's own classes stay as they are: their tracebacks say where the mistake is.

    Raises:
        UsageError: Such a class can't be created.
    """
    try:
        yield
    except ValueError as error:
        name, reason = _class_and_reason(" ".join(str(error).split()))
        if not name or not (name.startswith(_LIBRARIES) or _lacks_a_package(error)):
            raise
        flag = next((path for path, class_path, _ in named_classes(settings) if class_path == name), "")
        raise UsageError(f"{short_name(flag)} {name}: {missing_words(reason)}") from error


def trainer_error_message(error: Exception, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The flags of the Trainer that its error is about, their values, and its reason.

    Args:
        error: What the Trainer's constructor has raised.
        settings: The Trainer's.
        defaults: Of the same settings.
    """
    text = missing_words(one_line(error))
    given = {name: value for name, value in settings.items() if value != defaults.get(name)}
    mentioned = [name for name in given if re.search(rf"(?<![\w-]){name}\b", text)]
    flags = [f"{short_name(f'trainer.{name}')} {shown(_plain(given[name]))}" for name in mentioned or list(given)[:5]]
    return f"{', '.join(flags) or '--trainer'}: Lightning's Trainer can't work with it: {text}"


def named_classes(value: Any, path: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each class that the settings name: the setting that it is the value of, its import path and its arguments."""
    if isinstance(value, list):
        for item in value:
            yield from named_classes(item, path)
    if isinstance(value, Mapping):
        if "class_path" in value:
            yield path, value["class_path"], value.get("init_args") or {}
        for name, nested in value.items():
            yield from named_classes(nested, path if name == "init_args" else f"{path}.{name}".lstrip("."))


def _class_and_reason(text: str) -> tuple[str, str]:
    """The class in the parser's message that couldn't be created, and why; both empty if it is about something else."""
    if match := BAD_CLASS.search(text):
        return match[1], match[2]
    if match := _ONE_OF_TYPES.search(text):
        return match["class"], match["reason"]
    return "", ""


def _plain(value: Any) -> Any:
    """An object that a flag named stands in the settings in place of the name."""
    return value if isinstance(value, str | int | float | list | dict | None) else type(value).__name__


def _lacks_a_package(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ImportError):
            return True
        error = error.__cause__ or error.__context__
    return False
