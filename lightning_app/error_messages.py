"""Errors that a user can fix, each in one line."""

import errno
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator

from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from lightning_app.default_data import SHORT_NAMES
from lightning_app.errors import NonFiniteError, UsageError
from lightning_app.flags import FLAGS, nearest, short_name
from models import ModelError

_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

USER_ERRORS = (UsageError, NonFiniteError, DataError, ModelError)


def user_error_message(error: BaseException) -> str | None:
    """The one line for an error that the user can mend; None for any other."""
    for cause in _chain(error):  # the parser wraps what a constructor raises
        if isinstance(cause, USER_ERRORS):
            return _one_line(str(cause))
        if isinstance(cause, MisconfigurationException):
            return f"Lightning can't work with these settings: {_one_line(str(cause))}"
        if isinstance(cause, OSError) and cause.errno in _DISK_IS_FULL:
            return f"--output_dir: {cause.strerror} while writing; what was complete is kept, free some space and go on"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_line(text: str) -> str:
    if "Traceback (most recent call last)" in text:  # a DataLoader's worker sends it along, the message comes last
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
    """The flag, what was found, what was expected; the parser's own words where none of its forms is recognised."""
    text = " ".join(message.split())
    known = {flag.name for flag in FLAGS} | set(known_flags)
    if found := _UNRECOGNISED.search(text):
        return _unknown(found[1], known)
    setting = ".".join(dict.fromkeys(_KEY.findall(text)))  # outermost first: model, then learning_rate
    flag = short_name(setting)
    if found := _NO_CLASS.search(text):
        return f"{flag} {found[1]}: no such class{nearest(found[1], SHORT_NAMES) or '; give an import path'}"
    if found := _WRONG_BASE.search(text):
        return f"{flag} {text.rpartition('Given value: ')[2]}: expected a subclass of {found[1]}"
    if found := _NOT_ACCEPTED.search(text):
        name = (found[1] or found[2]).removeprefix("init_args.")
        owner = _BAD_CLASS.search(text)
        if owner is None:
            return f"{short_name(f'{setting}.{name}')}: {setting or 'the program'} has no such setting"
        return (
            f"{short_name(f'{setting}.{name}')}: {owner[1]} has no such setting{nearest(name, _parameters(owner[1]))}"
        )
    if found := _CHOICE.search(text):
        return f"{found[1]}: no such command; expected one of {found[2]}"
    if found := _NO_FILE.search(text):
        return f"{flag} {found[1]!r}: no such file"
    if setting and (value := _GOT.search(text)) and (expected := _expected_types(text)):
        return f"{flag} {(value[1] or value[2]).strip()}: expected {expected}"
    if found := _BAD_CLASS.search(text):
        return f"{flag} {found[1]}: {found[2]}"
    return f"{flag}: {text}" if setting else text


def _unknown(argument: str, known: set[str]) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return f"{argument}: expected a flag, such as --data_path DIR; found a word on its own"
    return f"{name}: unknown flag{nearest(name, known) or '; --help lists them'}"


def _expected_types(text: str) -> str:
    words = [_type_name(name) for name in dict.fromkeys(_EXPECTED.findall(text))]
    if len(_KEY.findall(text)) > 1 or words == ["null"]:
        words = [word for word in words if word != "null"]  # that a whole class may be null helps nobody
    return " or ".join(words)


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


def _type_name(name: str) -> str:
    if name.startswith("typing.Literal"):
        return "one of " + name.removeprefix("typing.Literal[").removesuffix("]")
    short = name.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return _TYPES.get(short, short)
