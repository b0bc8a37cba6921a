"""The tutorials' own flags, as short service_names of the settings that Lightning's command line already has.

Each quantity keeps one owner and one default, which is the constructor parameter (or the Trainer's) that the flag
stands for; a flag given twice, in both service_names, is refused.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightning_app.errors import UsageError

COMMANDS = ("fit", "validate", "test", "predict")


@dataclass(frozen=True)
class Flag:
    """A short service_name, the long one it stands for, and what ``--help`` says of it."""

    name: str
    target: str
    value: str
    help: str
    commands: tuple[str, ...] = COMMANDS


FLAGS = (
    Flag("--data_path", "--data.data_path", "DIR", "Folder with the images. Without it, images are generated here."),
    Flag("--learning_rate", "--model.learning_rate", "X", "Step size of SGD.", ("fit",)),
    Flag("--momentum", "--model.momentum", "X", "Momentum of SGD.", ("fit",)),
    Flag("--batch_size", "--data.batch_size", "N", "Images a step and process."),
    Flag("--num_epochs", "--trainer.max_epochs", "N", "Times to go through the training images.", ("fit",)),
    Flag("--num_workers", "--data.num_workers", "N", "Processes that decode image files."),
    Flag("--output_dir", "--trainer.default_root_dir", "DIR", "Folder of the run: checkpoints, metrics, settings."),
    Flag("--seed", "--seed_everything", "N", "Seed of everything random."),
    Flag("--download", "--data.download", "", "Fetch CIFAR-10 into --data_path first.", ("fit", "validate", "test")),
)
_SHORT = {flag.name: flag for flag in FLAGS}
_LONG = {flag.target: flag for flag in FLAGS}


def expand(arguments: Sequence[str]) -> list[str]:
    """The arguments of one command with every short service_name replaced by the long one.

    Raises:
        UsageError: A setting is given in both service_names, or a value is missing.
    """
    expanded: list[str] = []
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        flag = _SHORT.get(name) or _LONG.get(name)
        if flag is None or not name.startswith("--"):
            expanded.append(name + equals + value)
            continue
        if given.setdefault(flag.name, name) != name:
            raise UsageError(f"{flag.name} and {flag.target} are one setting; give it once")
        if not equals:
            value = _value(flag, name, rest)
        _check_epochs(name, value)
        expanded.append(f"{flag.target}={value}")
    return expanded


def short_name(setting: str) -> str:
    """How a user spells a setting such as ``model.init_args.learning_rate``."""
    long = "--" + setting.replace(".init_args", "").removesuffix(".class_path")
    return _LONG[long].name if long in _LONG else long


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean --learning_rate?`` for a name that is nearly a known one."""
    close = difflib.get_close_matches(name, [*known], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _value(flag: Flag, name: str, rest: list[str]) -> str:
    if not flag.value:  # a switch: its value may be left out
        return rest.pop(0) if rest and rest[0] in ("true", "false") else "true"
    if not rest or not rest[0] or rest[0].startswith("--"):
        raise UsageError(f"{name}: expected a value ({flag.value}) after it")
    return rest.pop(0)


def _check_epochs(name: str, value: str) -> None:
    # Lightning takes -1 for "without end", and so does --trainer.max_epochs; of a number of epochs nobody expects that
    if name == "--num_epochs" and not (value.isdecimal() and int(value) > 0):
        raise UsageError(f"--num_epochs {value}: expected a whole number of at least 1")
