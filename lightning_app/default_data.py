"""The model and the data that a command uses: as given, as saved in a checkpoint, or the defaults."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_app.checkpoints import read_checkpoint
from lightning_app.errors import UsageError
from lightning_app.flags import last_value
from lightning_app.run_folder import RunFolder

DEFAULT_MODEL = "models.CifarNet"
_DEFAULT_DATA = {"CifarNet": "datamodules.CIFAR10DataModule", "ResNetTransfer": "datamodules.ImageFolderDataModule"}
CLASS_NAMES = (*_DEFAULT_DATA, *(path.rpartition(".")[2] for path in _DEFAULT_DATA.values()))


def default_data(arguments: Sequence[str]) -> list[str]:
    """``--data`` with the datamodule that belongs to the chosen model; it goes before the user's own arguments."""
    model = last_value(arguments, "--model", "--model.class_path") or _model_in_config(arguments) or DEFAULT_MODEL
    data = _DEFAULT_DATA.get(model.rpartition(".")[2])
    return [f"--data={data}"] if data else []


def arguments_from_checkpoint(
    command: str, arguments: Sequence[str], default_output_dir: str
) -> tuple[list[str], Path]:
    """``--model``, ``--data`` and ``--seed_everything`` as a checkpoint holds them, and the path of the checkpoint.

    Raises:
        UsageError: There is no such checkpoint, or it can't be read.
    """
    path = _checkpoint_path(arguments, default_output_dir)
    content = read_checkpoint(path)
    model = _as_config(content.get("hyper_parameters", {}))
    data = _as_config(content.get("datamodule_hyper_parameters", {}))
    if data and command == "predict":
        data["init_args"].pop("data_path", None)  # the training images are labelled already
    saved = [f"--model={json.dumps(model)}"] if model else []
    seed = content.get("callbacks", {}).get("RunCheckpoints", {}).get("seed")
    if seed is not None:
        saved.append(f"--seed_everything={seed}")
    return saved + ([f"--data={json.dumps(data)}"] if data else default_data(arguments)), path


def _checkpoint_path(arguments: Sequence[str], default_output_dir: str) -> Path:
    ckpt_path = last_value(arguments, "--ckpt_path")
    if ckpt_path:
        if not Path(ckpt_path).is_file():
            raise UsageError(f"--ckpt_path {ckpt_path!r}: no such file")
        return Path(ckpt_path)
    folder = RunFolder(Path(last_value(arguments, "--trainer.default_root_dir") or default_output_dir))
    for path in (folder.best, folder.last):
        if path.is_file():
            return path
    raise UsageError(
        f"--output_dir {str(folder.root)!r}: holds no checkpoint; train a network first, or give --ckpt_path"
    )


def _as_config(hyperparameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class and its arguments, which LightningCLI saves side by side; None if a plain script saved them."""
    if "_class_path" not in hyperparameters:
        return None
    arguments = {name: value for name, value in hyperparameters.items() if not name.startswith("_")}
    return {"class_path": hyperparameters["_class_path"], "init_args": arguments}


def _model_in_config(arguments: Sequence[str]) -> str | None:
    path = last_value(arguments, "--config", "-c")
    try:
        content = yaml.safe_load(Path(path).read_text()) if path else None
    except (OSError, yaml.YAMLError):
        return None  # the parser reads the file next and reports the error
    model = content.get("model") if isinstance(content, dict) else None
    class_path = model.get("class_path") if isinstance(model, dict) else model
    return class_path if isinstance(class_path, str) else None
