"""The one-line messages for errors that the user can fix, those of the command line's parser included."""

import errno
import importlib
import inspect
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import lightning_fabric
import pytorch_lightning
from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from lightning_app.default_data import CLASS_NAMES
from lightning_app.errors import NonFiniteError, UsageError
from lightning_app.flags import FLAGS, nearest, short_name
from models import ModelError

_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_LIGHTNING = tuple(package.__path__[0] for package in (pytorch_lightning, lightning_fabric))
_ROOT = Path(__file__).parents[1]
_NOT_THE_USERS = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    *(str(_ROOT / package) for package in ("lightning_app", "datamodules", "models")),
)

# jsonargparse about the constructor of one of Lightning's classes
_LIGHTNING_CLASS = re.compile(
    r"Problem with given class_path 'pytorch_lightning[\w.]*\.(\w+)': (.*?)(?= - | Given value|$)"
)

_USER_ERRORS = (UsageError, NonFiniteError, DataError, ModelError)


def user_error_message(error: BaseException) -> str | None:
    """The one-line message for an error that the user can fix; None for any other error."""
    for cause in _causes(error):  # the parser wraps the errors of constructors
        if isinstance(cause, _USER_ERRORS):
            return _one_line(str(cause))
        if isinstance(cause, MisconfigurationException) or is_refusal(cause):
            return f"Lightning can't work with these settings: {_one_line(str(cause))}"
        if isinstance(cause, ValueError) and (match := _LIGHTNING_CLASS.search(_one_line(str(cause)))):
            return f"{match[1]}: {match[2]}"
        if isinstance(cause, OSError) and cause.errno in _DISK_IS_FULL:
            return f"--output_dir: {cause.strerror} while writing; free some space and give the same command again"
    return None


def is_refusal(error: BaseException) -> bool:
    """Whether Lightning itself has raised the error, by a statement of its own, and no code of the user's called it.

    Lightning refuses settings by errors of many kinds; a TypeError of a call that it makes is no refusal.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, Exception) or not frames:
        return False
    *_, last = frames
    raised = (last.line or "").startswith("raise ") and _is_below(last.filename, _LIGHTNING)
    return raised and all(_is_below(frame.filename, (*_LIGHTNING, *_NOT_THE_USERS)) for frame in frames)


def _is_below(filename: str, folders: Iterable[str]) -> bool:
    return filename.startswith("<") or any(Path(filename).is_relative_to(folder) for folder in folders)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_line(text: str) -> str:
    if "Traceback (most recent call last)" in text:  # from a worker of a DataLoader; the message comes last
        text = [line for line in text.splitlines() if line.strip()][-1].partition("DataError: ")[2] or text
    return " ".join(text.split())


_TYPES = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
}

_KEY = re.compile(r'Parser key "([\w.]+)":')
_UNRECOGNISED = re.compile(r"unrecognized arguments: (\S+)", re.IGNORECASE)
_NOT_ACCEPTED = re.compile(r"(?:Option '(\w+)' is not accepted|does not accept (?:nested )?(?:option|key) '([\w.]+)')")
_BAD_CLASS = re.compile(r"Problem with given class_path '([^']+)': (.*?)(?= - |$)")
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_WRONG_BASE = re.compile(r"Import path does not correspond to a subclass of (\w+)")
_GOT = re.compile(r"Got value: (.*?)(?= - Expected|$)|Given value: (?!NestedArg)(?!Namespace)(.*)$")
_EXPECTED = re.compile(r"Expected a (<class '[\w.]+'>|typing\.Literal\[[^\]]*\])")
_NO_FILE = re.compile(r"File does not exist: '([^']*)'")
_CHOICE = re.compile(r"invalid choice: '?([^' ]+)'? \(choose from (.*?)\)")


def parse_error_message(message: str, known_flags: Iterable[str]) -> str:
    """The flag, the given value and what was expected; the parser's own message if its form isn't recognised."""
    text = " ".join(message.split())
    known = {flag.name for flag in FLAGS} | set(known_flags)
    if match := _UNRECOGNISED.search(text):
        return _unknown(match[1], known)
    setting = ".".join(dict.fromkeys(_KEY.findall(text)))  # outermost first: model, then learning_rate
    flag = short_name(setting)
    if match := _NO_CLASS.search(text):
        return f"{flag} {match[1]}: no such class{nearest(match[1], CLASS_NAMES) or '; give an import path'}"
    if match := _WRONG_BASE.search(text):
        return f"{flag} {text.rpartition('Given value: ')[2]}: expected a subclass of {match[1]}"
    if match := _NOT_ACCEPTED.search(text):
        name = (match[1] or match[2]).removeprefix("init_args.")
        owner = _BAD_CLASS.search(text)
        if owner is None:
            return f"{short_name(f'{setting}.{name}')}: {setting or 'the program'} has no such setting"
        return (
            f"{short_name(f'{setting}.{name}')}: {owner[1]} has no such setting{nearest(name, _parameters(owner[1]))}"
        )
    if match := _CHOICE.search(text):
        return f"{match[1]}: no such command; expected one of {match[2]}"
    if match := _NO_FILE.search(text):
        return f"{flag} {match[1]!r}: no such file"
    if setting and (value := _GOT.search(text)) and (expected := _expected_types(text)):
        return f"{flag} {(value[1] or value[2]).strip()}: expected {expected}"
    if match := _BAD_CLASS.search(text):
        return f"{flag} {match[1]}: {match[2]}"
    return f"{flag}: {text}" if setting else text


def _unknown(argument: str, known: set[str]) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return f"{argument}: expected a flag, such as --data_path DIR"
    return f"{name}: unknown flag{nearest(name, known) or '; --help lists them'}"


def _expected_types(text: str) -> str:
    types = [_type_name(name) for name in dict.fromkeys(_EXPECTED.findall(text))]
    if len(_KEY.findall(text)) > 1 or types == ["null"]:
        types = [name for name in types if name != "null"]  # a class may be null as a whole, which is no help here
    return " or ".join(types)


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


def _type_name(name: str) -> str:
    if name.startswith("typing.Literal"):
        return "one of " + name.removeprefix("typing.Literal[").removesuffix("]")
    short = name.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return _TYPES.get(short, short)
