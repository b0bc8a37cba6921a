"""Help on demand: of a class, as in ``--model.help CifarNet``, and of Lightning's Trainer, ``--trainer.help``."""

import difflib
import importlib
import inspect
import re
import textwrap
from collections.abc import Sequence

from lightning_app.command_line.flags import COMMANDS, suggestion
from lightning_app.command_line.help_page import WIDTH, table

TRAINER_HELP = "--trainer.help"
_HELP = re.compile(r"--(?:model|data|optimizer|lr_scheduler|trainer)(?:\.\w+)*\.help")
# where the classes are that a flag takes by their bare names
_MODULES = {
    "--model.help": "models",
    "--data.help": "datamodules",
    "--optimizer.help": "torch.optim",
    "--lr_scheduler.help": "torch.optim.lr_scheduler",
    "--trainer.accelerator.help": "pytorch_lightning.accelerators",
    "--trainer.callbacks.help": "pytorch_lightning.callbacks",
    "--trainer.logger.help": "pytorch_lightning.loggers",
    "--trainer.plugins.help": "pytorch_lightning.plugins",
    "--trainer.profiler.help": "pytorch_lightning.profilers",
    "--trainer.strategy.help": "pytorch_lightning.strategies",
}
# the parser's words for a class of another kind, and for a name that it doesn't know
_OTHER_CLASS = re.compile(r"is not a subclass of (\w+)")
_NO_PATH = "Expected a dot import path string"
_BASES = {"Accelerator", "Callback", "ImageClassifier", "LightningDataModule", "LightningModule", "Logger", "Profiler",
          "LRScheduler", "Optimizer"}  # fmt: skip
_OF_SCHEDULERS = {"ChainedScheduler", "SequentialLR"}  # their arguments are other schedulers, which no flag can give


def requested_help(words: Sequence[str]) -> list[str] | None:
    """The command, the flag and the class of the first help flag, wherever it stands; None if there is none.

    The flag may stand before or after the command, or without one. Help flags of its parts, which may follow it as in
    ``--model.help MyModel --model.backbone.help ResNet``, are kept; all others say nothing about the class.
    """
    flags = [(position, *word.partition("=")) for position, word in enumerate(words) if _HELP.match(word)]
    flags = [flag for flag in flags if _HELP.fullmatch(flag[1])]
    if not flags:
        return None
    command = next((word for word in words if word in COMMANDS), "fit")
    outer = flags[0][1].removesuffix("help")
    request = [command]
    for position, name, equals, value in flags:
        if not request[1:] or (name.startswith(outer) and name != flags[0][1]):
            after = words[position + 1 : position + 2]
            values = [value] if equals else [word for word in after if word[:1] != "-" and word not in COMMANDS]
            request += [name, *values]
    return request


def listed_classes(flag: str) -> str | None:
    """The page for a help flag without a class: the names that it takes; None if they aren't known."""
    known = known_classes(flag)
    if not known:
        return None
    setting = flag.removesuffix(".help")
    lines = table((c.__name__, _first_sentence(c)) for c in known)
    heading = f"{setting} takes one of these, or a class of your own by its import path:"
    return f"{heading}\n\n{lines}\n\n{flag} CLASS explains one."


def known_classes(flag: str) -> list[type]:
    """The classes that a help flag, such as ``--model.help``, takes by their bare names."""
    if flag not in _MODULES:
        return []
    module = importlib.import_module(_MODULES[flag])
    classes = [getattr(module, name) for name in sorted(getattr(module, "__all__", vars(module)))]
    left_out = _BASES | _OF_SCHEDULERS
    return [c for c in classes if inspect.isclass(c) and not issubclass(c, Exception) and c.__name__ not in left_out]


def class_page(flag_and_class: str, parser_help: str) -> str:
    """The page of a class, from ``parser_help``, the parser's own text for it."""
    flag, _, class_path = flag_and_class.partition("=")
    setting = flag.removesuffix(".help")
    _, _, text = parser_help.partition(f"{flag_and_class}\n")
    first, newline, rest = text.strip().partition("\n")
    title = "Settings:" if first.startswith("<class ") else textwrap.fill(first, WIDTH)  # a class without a docstring
    described = title + newline + rest
    usage = f"usage: {setting} {class_path}\n       [{setting}.NAME VALUE ...]"
    return f"{usage}\n\n{described or 'This class has no settings.'}\n"


def trainer_page(parser_help: str) -> str:
    """The settings of Lightning's Trainer, from ``parser_help``, the parser's own text for a command."""
    start = parser_help.find("  --trainer.")
    end = parser_help.find("  --model.help")
    part = parser_help[start:end].rsplit("\n\n", 1)[0] if end > start >= 0 else parser_help
    return "Settings of Lightning's Trainer, for every command:\n" + part.rstrip() + "\n"


def error_message(request: Sequence[str], reason: str) -> str:
    """The one-line message where the class of a help flag can't be described.

    Args:
        request: The command, the flag and the class.
        reason: The parser's message.
    """
    _, flag, *classes = request
    given = " ".join([flag, *classes[:1]])
    if match := _OTHER_CLASS.search(reason):
        return f"{given}: expected a subclass of {match[1]}"
    if _NO_PATH in reason or not classes:
        return f"{given}: {_unknown_class(flag, classes)}"
    if known_classes(flag):
        return f"{given}: {reason.removeprefix(f'{flag}: ')}"
    return f"{given}: {_unknown_class(flag, classes)}"


def _unknown_class(flag: str, classes: Sequence[str]) -> str:
    known = [c.__name__ for c in known_classes(flag)]
    if known:
        return f"no such class{suggestion(classes[0], known) if classes else ''}; {flag} alone lists them"
    as_deep = [known for known in _MODULES if known.count(".") == flag.count(".")]
    if close := difflib.get_close_matches(flag, as_deep, n=1, cutoff=0.9):
        return f"unknown flag; did you mean {close[0]}?"
    part = flag.split(".")[0]
    listed = TRAINER_HELP if part == "--trainer" else f"{part}.help CLASS"
    return f"no setting that takes a class has this name; {listed} lists the settings"


def _first_sentence(described: type) -> str:
    # its own, or else the constructor's: an inherited docstring may describe another class
    constructor = vars(described).get("__init__")
    docstring = (
        described.__doc__ or getattr(constructor, "__doc__", None) or inspect.getdoc(described) or "Not described."
    )
    text = " ".join(docstring.strip().partition("\n\n")[0].split())
    return _without_markup(text).partition(". ")[0]


def _without_markup(text: str) -> str:
    """Lightning's docstrings are written for Sphinx."""
    links = re.sub(r"`([^`<]*) <[^`>]*>`_+", r"\1", text)
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", links).replace("``", "").replace("`", "")
