"""Bounds of settings that Lightning, NumPy and Python have and that their types don't say."""

import importlib
import inspect
import math
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from lightning_app.checkpointing.save_interval import SaveInterval
from lightning_app.command_line.construction_errors import named_classes
from lightning_app.command_line.flags import short_name
from lightning_app.command_line.parse_errors import expected_words
from lightning_app.errors import UsageError, shown

_MOST_SECONDS = 1_000_000_000  # 32 years; Python's timers overflow at some hundred
_MOST_DEVICES = 10_000  # Lightning makes a list of them
_SEEDS = 2**32  # NumPy's
_LEAST = {
    "trainer.max_epochs": -1,  # without a limit
    "trainer.min_epochs": 0,
    "trainer.max_steps": -1,
    "trainer.min_steps": 0,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.num_sanity_val_steps": -1,  # all of them
    "trainer.log_every_n_steps": 0,
    "trainer.accumulate_grad_batches": 1,
    "trainer.reload_dataloaders_every_n_epochs": 0,
    "trainer.num_nodes": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.fast_dev_run": 0,
    "trainer.devices": -1,  # all of them
    "checkpoint_keep": 0,
}
_SHARES = {f"trainer.{name}" for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches",
                                         "limit_predict_batches", "overfit_batches", "val_check_interval")}  # fmt: skip
_NAMES = {
    "monitor": "the name of a metric",
    "resume": "auto, never, a checkpoint, a run folder or the id of a run",
    "init_from": "a checkpoint or a state_dict of torch",
    "csv": "a file",
    "ckpt_path": "a checkpoint",
}
_SECONDS = ("stall_timeout", "azureml.exit_timeout")


def check_bounds(settings: Mapping[str, Any]) -> None:
    """Checks the parsed settings of a command.

    Raises:
        UsageError: A value is out of the bounds of what uses it.
    """
    for path, value in _leaves(settings):
        if expected := _expected_interval(value) if path == "checkpoint_every" else _expected(path, value):
            raise UsageError(f"{short_name(path)} {shown(value)}: expected {expected}")
    for path, class_path, arguments in named_classes(settings):
        _check_null(path, class_path, arguments)


def _expected(path: str, value: Any) -> str | None:
    """What is expected in place of a value; None if it may stay."""
    if path == "trainer.devices" and isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, str):
        return _expected_text(path, value)
    if path == "trainer.val_check_interval" and value == 0 and not isinstance(value, bool):
        return "a share of the epoch above 0.0, or a whole number of batches of at least 1"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if path == "seed_everything":
        return None if 0 <= value < _SEEDS else f"a whole number from 0 to {_SEEDS - 1}"
    if path in _SECONDS:
        return None if value <= _MOST_SECONDS else f"seconds, at most {_MOST_SECONDS:,}"
    if path in _SHARES:
        # Lightning takes 2.0 for a number of batches
        fits = 0 <= value <= 1 or (float(value).is_integer() and 0 <= value <= sys.maxsize)
        return None if fits else "a share from 0.0 to 1.0, or a whole number of batches"
    if path in _LEAST and not _LEAST[path] <= value < math.inf:
        return f"at least {_LEAST[path]}"
    if path == "trainer.devices" and value > _MOST_DEVICES:
        return f"at most {_MOST_DEVICES:,} devices"
    return f"at most {sys.maxsize}" if isinstance(value, int) and abs(value) > sys.maxsize else None


def _expected_text(path: str, value: str) -> str | None:
    if path in _NAMES and not value.strip():
        return _NAMES[path]
    if path == "trainer.max_time" and re.search(r"\d{7}", value):
        return "a time, DD:HH:MM:SS, of less than a million days"
    return None


def _expected_interval(value: Any) -> str | None:
    try:
        SaveInterval.parse(value)
    except ValueError as error:
        return str(error)
    return None


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_null(path: str, class_path: str, arguments: Mapping[str, Any]) -> None:
    """The parser lets null through for each parameter of a class."""
    module, _, name = class_path.rpartition(".")
    try:
        owner = getattr(importlib.import_module(module), name)
        defaults = {n: parameter.default for n, parameter in inspect.signature(owner).parameters.items()}
        hints = typing.get_type_hints(owner.__init__)
    except (AttributeError, ImportError, NameError, TypeError, ValueError):
        return  # types that can't be read are those of a class of the user's, which checks its own parameters
    for parameter, value in arguments.items():
        if value is None and parameter in hints and defaults.get(parameter) is not None:
            words = expected_words(hints[parameter])
            if "null" not in words:
                raise UsageError(f"{short_name(f'{path}.{parameter}')} null: expected {words}")
