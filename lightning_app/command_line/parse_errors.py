"""The command line's parser's errors in one line: the flag, the value, what is expected, and what was meant."""

import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from lightning_app.command_line.class_help import known_classes
from lightning_app.command_line.flags import COMMANDS, FLAGS, last_value, short_name, suggestion
from lightning_app.command_line.import_path import OWN_PACKAGES
from lightning_app.errors import shown
from models import architectures

# The forms of jsonargparse's messages, see the tests of parse_error_message.
_KEY = re.compile(r'Parser key "([^"]+)"')
_ARGUMENT = re.compile(r"argument (-[\w.-]+)(?:/\S+)?: (.*)")
_UNRECOGNISED = re.compile(r"[Uu]nrecognized arguments: (\S+)")
_NOT_ACCEPTED = re.compile(r"Option '(\w+)' is not accepted|does not accept (?:nested )?(?:option|key) '([\w.]+)'")
BAD_CLASS = re.compile(
    r"Problem with given class_path '([^']+)': (.*?)(?= - (?:Expected|Import path|Problem)| Given value type|$)"
)
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_NUMBER_OR_TENSOR = re.compile(r"<class 'torch\.Tensor'>\] Errors: - Expected a <class 'float'>")
_WRONG_BASE = re.compile(r"Import path (?:\S+ )?does not correspond to a subclass of (\w+)")
_REQUIRED = re.compile(r"the following arguments are required: ([\w., ]+)")
_OPTION = re.compile(r'Invalid option "(.*)" for --print_config')
_NO_FILE = re.compile(r"File does not exist: '([^']*)'|Path does not exist: '([^']*)'")
_CHOICE = re.compile(r"invalid choice: '?([^' ]+)'? \(choose from (.*?)\)")
_GIVEN = re.compile(r"Given value: (?!NestedArg)(?!Namespace)((?:(?!Given value: ).)*)$")  # the last one is the whole
_GOT = re.compile(r"Got value: (.*?)(?= - Expected| Expected a | Subclass types| Given value|$)")
_NESTED = re.compile(r"Given value: NestedArg\(key='([^']+)', val=(.*)\)$")
# what the parser takes for the class of --optimizer.lr where there is no --optimizer
_UNNAMED = ("torch.optim.Optimizer", "torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler")
_RESNET = re.compile(r"resnet_?(18|34|50|101|152)", re.IGNORECASE)
_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text", type(None): "null",
          list: "a list", tuple: "a list", dict: "settings, {NAME: VALUE}", timedelta: "a time, DD:HH:MM:SS",
          Path: "a path"}  # fmt: skip

Hints = Mapping[str, Any]
"""The type of each flag's value."""


def parse_error_message(message: str, hints: Hints, arguments: Sequence[str]) -> str:
    """One line with the flag, the value and what is expected, and never in the parser's own words.

    Args:
        message: The parser's message.
        hints: The types of the flags that the command has.
        arguments: The command and its flags, in which the value is looked up if the message lacks it.
    """
    text = " ".join(message.split())
    if match := _UNRECOGNISED.search(text):
        return _unknown(match[1], _known_flags(hints, arguments))
    if match := _CHOICE.search(text):
        return f"{shown(match[1])}: no such command; expected one of {match[2]}"
    if match := _OPTION.search(text):
        return f"--print_config {shown(match[1])}: expected one of comments, skip_default, skip_unset, or nothing"
    setting = ".".join(dict.fromkeys(_KEY.findall(text)))  # outermost first: model, then learning_rate
    if not setting and (match := _ARGUMENT.search(text)):
        setting = match[1].lstrip("-")
    if match := _NESTED.search(text):
        setting = setting if setting.endswith(f".{match[1]}") else f"{setting}.{match[1]}"
    return _class_message(text, setting, arguments) or _value_message(text, setting, hints, arguments)


def expected_words(hint: Any) -> str:
    """A type in the words of a message, such as ``a whole number or null``."""
    return " or ".join(dict.fromkeys(_words(hint)))


def _words(hint: Any) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [
            part for part in typing.get_args(hint) if getattr(part, "__name__", "") != "Tensor"
        ]  # no flag gives one
        words = [word for part in parts for word in _words(part)]
        return [word for word in words if word != "null"] + ["null"] * ("null" in words)
    if origin is Literal:
        values = [str(value) for value in typing.get_args(hint)]
        return values if len(values) == 1 else ["one of " + ", ".join(values)]
    kind = origin or hint
    if not inspect.isclass(kind):
        return ["settings, {NAME: VALUE}"]
    for known, word in _WORDS.items():
        if kind is known:
            return [word]
    if bounds := getattr(kind, "_expression", None):  # a number in bounds, of jsonargparse, such as v>0
        number = "a whole number" if issubclass(kind, int) else "a number"
        return [f"{number} in the bounds {bounds.replace('v', '')}".replace("in the bounds >", "above ")]
    if kind.__module__ in ("collections.abc", "typing"):
        return ["a list"]
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return [f"{article} {kind.__name__}, by name or import path"]


def _class_message(text: str, setting: str, arguments: Sequence[str]) -> str | None:
    """The message where a class was not found, doesn't fit, or lacks or hasn't a setting; None for any other error."""
    setting = setting.replace(".init_args", "")
    if match := _NOT_ACCEPTED.search(text):
        name = (match[1] or match[2]).removeprefix("init_args.")
        owner = BAD_CLASS.search(text)
        flag = short_name(setting if setting.split(".")[-1] == name else f"{setting}.{name}".lstrip("."))
        if owner is None:
            return f"{flag}: no such setting{suggestion(flag, [])}"
        if owner[1] in _UNNAMED:
            return f"{flag}: a setting of a class that isn't given; give --{setting.partition('.')[0]} CLASS before it"
        return f"{flag}: {owner[1]} has no such setting{suggestion(name, _parameters(owner[1]))}"
    if (match := _NO_CLASS.search(text)) and not _NUMBER_OR_TENSOR.search(text):
        return _no_class(short_name(setting), match[1])
    if match := _REQUIRED.search(text):
        owner = BAD_CLASS.search(text)
        names = [short_name(f"{setting}.{name.strip()}") for name in match[1].split(",")]
        if owner is None:
            missing = [short_name(name.strip().partition(".")[2] or name.strip()) for name in match[1].split(",")]
            return f"{' and '.join(missing)}: expected a value other than null"
        given = owner[1].rpartition(".")[2]
        return f"{short_name(setting)} {given}: needs {' and '.join(names)} as well"
    if (match := BAD_CLASS.search(text)) and not _KEY.search(match[2]):
        return f"{short_name(setting)} {match[1]}: {_own_package_hint(match[1]) or missing_words(match[2])}"
    if match := _WRONG_BASE.search(text):
        given = text.rpartition("Given value: ")[2] if "Given value: " in text else _given(setting, arguments)
        return f"{short_name(setting)} {shown(given)}: expected a subclass of {match[1]}"
    return None


def _value_message(text: str, setting: str, hints: Hints, arguments: Sequence[str]) -> str:
    flag = short_name(setting)
    if match := _NO_FILE.search(text):
        return f"{flag} {match[1] or match[2]!r}: no such file"
    if not setting:
        given = list(dict.fromkeys(word.partition("=")[0] for word in arguments if word.startswith("--")))
        return f"{', '.join(given[:5]) or 'the settings'} can't be used: {shown(text)}"
    value = _value_in(text)
    if not value or value[0] in "[{":  # a list is in Python's words in the text, and in the user's in the argument
        value = _given(setting, arguments) or value
    if "expected one argument" in text and not value:
        return f"{flag}: expected a value after it"
    hint = hints.get(f"--{setting}", hints.get("--" + setting.partition(".init_args")[0]))
    expected = expected_words(_class_hint(text, setting, arguments, hints) or hint)
    return f"{flag} {shown(_as_written(value))}: expected {expected}"


def _value_in(text: str) -> str:
    """The value that the parser's message has."""
    if match := _NESTED.search(text):
        return match[2][1:-1] if match[2][:1] in "\"'" else match[2]
    found = _GIVEN.search(text) or _GOT.search(text)
    return found[1].strip() if found else ""


def _class_hint(text: str, setting: str, arguments: Sequence[str], hints: Hints) -> Any:
    """The type of a class's parameter, such as ``model.learning_rate``; None if it isn't one or is unknown."""
    part, _, name = setting.replace(".init_args", "").rpartition(".")
    named = BAD_CLASS.search(text)
    class_path = named[1] if named else _given(part, arguments) if part and f"--{setting}" not in hints else None
    owner = _find_class(part, class_path) if class_path else None
    try:
        return typing.get_type_hints(owner.__init__).get(name) if owner else None  # type: ignore[misc]  # of a class
    except (NameError, TypeError):
        return None


def _find_class(part: str, class_path: str) -> type | None:
    by_name = {known.__name__: known for known in known_classes(f"--{part}.help")}
    if class_path in by_name:
        return by_name[class_path]
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None) if module else None
    except ImportError:
        return None
    return found if inspect.isclass(found) else None


def _no_class(flag: str, name: str) -> str:
    if flag == "--model" and (match := _RESNET.fullmatch(name)):
        return f"{flag} {shown(name)}: no such class; did you mean --model ResNetTransfer --model.depth {match[1]}?"
    if flag == "--model" and name in architectures.names():
        meant = f"--model ResNetTransfer --model.architecture {name}"
        return f"{flag} {shown(name)}: no such class; did you mean {meant}?"
    names = [known.__name__ for known in known_classes(f"{flag}.help")]
    hint = suggestion(name, names)
    if name in names:
        return f"{flag} {name}: needs a package that isn't installed, or its import path"
    if not names:
        return f"{flag} {shown(name)}: no such class; give one by its import path, such as my_module.MyClass"
    listed = f"expected {', '.join(names)}" if len(names) <= 3 else f"{flag}.help lists the known ones"
    return f"{flag} {shown(name)}: no such class{hint or f'; {listed}'}, or give an import path"


def _unknown(argument: str, known: Iterable[str]) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return f"{shown(argument)}: expected a flag, such as --data_path DIR"
    return f"{shown(name)}: unknown flag{suggestion(name, known) or '; --help lists them'}"


def _known_flags(hints: Hints, arguments: Sequence[str]) -> list[str]:
    """The flags of the command, the short ones first, and those of the known models and datamodules."""
    short = [flag.name for flag in FLAGS if not set(COMMANDS) & set(arguments[:1]) - set(flag.commands)]
    classes = [(part, known) for part in ("model", "data") for known in known_classes(f"--{part}.help")]
    return [
        *short,
        *hints,
        *(f"--{part}.{name}" for part, known in classes for name in inspect.signature(known).parameters),
    ]


def _own_package_hint(class_path: str) -> str:
    package = class_path.partition(".")[0]
    if package in OWN_PACKAGES and (Path.cwd() / package).exists():
        return f"{package} is this program's own package here, and hides the {package} of this folder; rename that"
    return ""


def missing_words(reason: str) -> str:
    """What a class says that lacks a package, without markup."""
    return reason.replace(" HINT: Try running ", "; install it: ").replace("met.;", "met;").replace("`", "").strip()


def _given(setting: str, arguments: Sequence[str]) -> str | None:
    full = "--" + setting.replace(".init_args", "")
    names = [full, f"{full}.class_path", *(flag.name for flag in FLAGS if flag.target == full)]
    return last_value(arguments, *names)


def _as_written(value: str) -> str:
    return {"None": "null", "True": "true", "False": "false"}.get(value, value)


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
