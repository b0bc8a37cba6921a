"""The model and the data of a checkpoint: as saved in it, or in the ``config.yaml`` of its run folder."""

import collections.abc
import importlib
import inspect
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytorch_lightning as pl
from jsonargparse import ArgumentParser
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.command_line.given_settings import class_of, is_same_class, read_yaml, text_of
from lightning_app.command_line.import_path import OWN_PACKAGES
from lightning_app.errors import UsageError, shown
from lightning_app.run_folder import RunFolder, given_folder

_SAVED = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
_EXAMPLES = {"model": "--model my_module.MyModel", "data": "--data my_module.MyData"}


def settings_of_checkpoint(
    command: str, given: Mapping[str, Any], default_output_dir: str
) -> tuple[dict[str, Any], Path]:
    """``model``, ``data`` and ``seed_everything`` of the checkpoint that a command uses, and the checkpoint's path.

    Other data than the checkpoint's takes its place only if the user has given it. A class of the user's that only the
    checkpoint names is not imported.

    Args:
        command: ``validate``, ``test`` or ``predict``.
        given: The settings that the user has given.
        default_output_dir: The run folder, if none is given.

    Raises:
        UsageError: There is no such checkpoint, it can't be read, or it is unknown which model or data it belongs to.
    """
    path = _checkpoint_path(given, default_output_dir)
    content, config = read_checkpoint(path), _run_config(path)
    settings: dict[str, Any] = {}
    for part, saved in _SAVED.items():
        section = _section(part, path, _as_mapping(content.get(saved)), _as_mapping(config.get(part)), given)
        if section is not None:
            settings[part] = section
    if "model" not in settings and class_of(given, "model") is None:
        raise _unknown("model", path)
    if "data" not in settings and class_of(given, "data") is None and given.get("data"):
        raise _unknown("data", path)  # there are settings, such as --data_path, of data without a class
    if command == "predict" and "data" in settings:
        settings["data"]["init_args"].pop("data_path", None)  # the training images are labelled already
    run = _as_mapping(_as_mapping(content.get("callbacks")).get("RunCheckpoints"))
    seed = run.get("seed", config.get("seed_everything"))
    return settings | ({} if seed is None else {"seed_everything": seed}), path


def require_data(command: str, checkpoint: Path, model: pl.LightningModule, datamodule: object) -> None:
    """Checks that there is data: the datamodule, or loaders of the model itself.

    Raises:
        UsageError: There is none, because the checkpoint doesn't say which data it was trained on.
    """
    loader = {"validate": "val_dataloader", "test": "test_dataloader", "predict": "predict_dataloader"}[command]
    if datamodule is None and not is_overridden(loader, model):
        raise _unknown("data", checkpoint)


def _unknown(part: str, checkpoint: Path) -> UsageError:
    return UsageError(
        f"checkpoint {str(checkpoint)!r}: neither it nor a config.yaml beside it says which {part} it belongs to; "
        f"give it by its class, such as {_EXAMPLES[part]}"
    )


def _checkpoint_path(given: Mapping[str, Any], default_output_dir: str) -> Path:
    ckpt_path = text_of(given, "ckpt_path")
    if ckpt_path:
        if not Path(ckpt_path).is_file():
            raise UsageError(f"--ckpt_path {ckpt_path!r}: no such file")
        return Path(ckpt_path)
    folder = given_folder(text_of(given, "trainer", "default_root_dir") or default_output_dir)
    for path in (folder.best, folder.last):
        if path.is_file():
            return path
    raise UsageError(
        f"--output_dir {str(folder.root)!r}: holds no checkpoint; train a network first, or give --ckpt_path"
    )


def _run_config(checkpoint: Path) -> Mapping[str, Any]:
    """The settings of the run that saved the checkpoint, in this project's folders and in those of Lightning's CLI."""
    folder = checkpoint.resolve().parent
    return read_yaml(RunFolder(folder.parent).config) or read_yaml(RunFolder(folder).config)


def _section(
    part: str, checkpoint: Path, saved: Mapping[str, Any], configured: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The class and its arguments, for the parser; None if they are unknown or if the user has given another class."""
    in_config, asked = class_of({part: configured}, part), class_of(given, part)
    class_path = saved.get("_class_path") or in_config
    if not isinstance(class_path, str) or (asked is not None and not is_same_class(asked, class_path)):
        return None
    class_path = _known_class(part, checkpoint, class_path, [each for each in (asked, in_config) if each])
    base = configured if in_config is not None and is_same_class(in_config, class_path) else {}
    init_args, dict_kwargs = (dict(_as_mapping(base.get(name))) for name in ("init_args", "dict_kwargs"))
    hints, takes_any = _parameters(part, class_path)
    by_user = {*_as_mapping(given.get(part)), *_as_mapping(_as_mapping(given.get(part)).get("init_args"))}
    for name, value in saved.items():
        is_parameter = name in hints
        if not is_parameter and name not in dict_kwargs and (not takes_any or base or name.startswith("_")):
            continue  # it is no parameter: save_hyperparameters takes other values as well
        if names_code(value, hints.get(name)):
            if name not in by_user | init_args.keys() | dict_kwargs.keys():
                raise UsageError(
                    f"checkpoint {str(checkpoint)!r}: its --{part}.{name} is {shown(value)}, of which nothing is "
                    f"imported unless you give it yourself, by --{part}.{name}"
                )
        elif is_parameter:
            init_args[name] = value
        else:
            dict_kwargs[name] = value
    return {"class_path": class_path, "init_args": init_args} | ({"dict_kwargs": dict_kwargs} if dict_kwargs else {})


def _known_class(part: str, checkpoint: Path, named: str, known: Sequence[str]) -> str:
    """The class, if it is one of this program's or is known from elsewhere than the checkpoint.

    Importing a module runs it, so a checkpoint alone doesn't decide what is imported.
    """
    if named in known or ("." in named and named.partition(".")[0] in OWN_PACKAGES):
        return named
    for class_path in known:
        if "." in class_path and is_same_class(class_path, named):
            return class_path
    raise UsageError(
        f"checkpoint {str(checkpoint)!r}: its {part} is {shown(named)}, and there is no config.yaml of its run that "
        f"says so; to import that class, give it by --{part} {shown(named)}"
    )


def names_code(value: Any, hint: Any) -> bool:
    """Whether the parser would import something to make a parameter's value of a saved one.

    Args:
        value: As it was saved.
        hint: The type of the parameter; None if it has none or isn't known.
    """
    if isinstance(value, Mapping):
        return "class_path" in value or any(names_code(inner, hint) for inner in value.values())
    if isinstance(value, list | tuple | set):
        return any(names_code(inner, hint) for inner in value)
    return isinstance(value, str) and not _is_plain(hint)


def _is_plain(hint: Any) -> bool:
    """Whether values of a type are texts, numbers and the like, or collections of these, for which nothing is imported.

    A text may otherwise be the import path of a class or of a function.
    """
    if hint is None or hint in (Any, ..., inspect.Parameter.empty, type(None)):
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return True
    if origin in (type, collections.abc.Callable):
        return False
    if arguments:
        return all(_is_plain(argument) for argument in arguments)
    return isinstance(hint, type) and issubclass(
        hint, str | int | float | complex | bytes | os.PathLike | Enum | list | tuple | dict | set | Mapping | Sequence
    )


def _parameters(part: str, class_path: str) -> tuple[dict[str, Any], bool]:
    """The types of a constructor's parameters, those of base classes included, and whether it takes any other."""
    module, _, name = class_path.rpartition(".")
    try:
        imported = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing runs the user's module
        raise UsageError(
            f"--{part} {class_path}: the checkpoint's class can't be imported ({error}); run the command where its "
            f"module is, or give another class with --{part}"
        ) from error
    parser = ArgumentParser()
    names = parser.add_class_arguments(imported, fail_untyped=False)
    hints = {action.dest: getattr(action, "_typehint", action.type) for action in parser._actions}
    own = inspect.signature(imported).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own)
    return {name: hints.get(name) for name in names}, takes_any and set(names) <= {each.name for each in own}


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
