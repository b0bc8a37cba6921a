"""Which model and which data a command uses: as given, as in a checkpoint, or the defaults."""

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
SHORT_NAMES = (*_DEFAULT_DATA, *(path.rpartition(".")[2] for path in _DEFAULT_DATA.values()))


def default_data(arguments: Sequence[str]) -> list[str]:
    """``--data`` with the datamodule that goes with the chosen model, to stand before all that the user gave."""
    model = last_value(arguments, "--model", "--model.class_path") or _model_of_configs(arguments) or DEFAULT_MODEL
    data = _DEFAULT_DATA.get(model.rpartition(".")[2])
    return [f"--data={data}"] if data else []


def arguments_from_checkpoint(
    command: str, arguments: Sequence[str], default_output_dir: str
) -> tuple[list[str], Path]:
    """``--model`` and ``--data`` as a checkpoint holds them, and the path of the checkpoint.

    Raises:
        UsageError: There is no such checkpoint, or it can't be read.
    """
    path = _checkpoint_path(arguments, default_output_dir)
    content = read_checkpoint(path)
    model = _as_config(content.get("hyper_parameters", {}))
    data = _as_config(content.get("datamodule_hyper_parameters", {}))
    if data and command == "predict":
        data["init_args"].pop("data_path", None)  # those images have labels already
    chosen = [f"--model={json.dumps(model)}"] if model else []
    seed = content.get("callbacks", {}).get("RunCheckpoints", {}).get("seed")
    if seed is not None:
        chosen.append(f"--seed_everything={seed}")
    return chosen + ([f"--data={json.dumps(data)}"] if data else default_data(arguments)), path


def _checkpoint_path(arguments: Sequence[str], default_output_dir: str) -> Path:
    given = last_value(arguments, "--ckpt_path")
    if given:
        if not Path(given).is_file():
            raise UsageError(f"--ckpt_path {given!r}: no such file")
        return Path(given)
    folder = RunFolder(Path(last_value(arguments, "--trainer.default_root_dir") or default_output_dir))
    for path in (folder.best, folder.last):
        if path.is_file():
            return path
    raise UsageError(f"--output_dir {str(folder.root)!r}: holds no checkpoint; train one first, or give --ckpt_path")


def _as_config(hyperparameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class and its arguments, which LightningCLI stores side by side; None if a plain script saved them."""
    if "_class_path" not in hyperparameters:
        return None
    arguments = {name: value for name, value in hyperparameters.items() if not name.startswith("_")}
    return {"class_path": hyperparameters["_class_path"], "init_args": arguments}


def _model_of_configs(arguments: Sequence[str]) -> str | None:
    path = last_value(arguments, "--config", "-c")
    try:
        content = yaml.safe_load(Path(path).read_text()) if path else None
    except (OSError, yaml.YAMLError):
        return None  # the parser reads it next, and says what is wrong with it
    model = content.get("model") if isinstance(content, dict) else None
    found = model.get("class_path") if isinstance(model, dict) else model
    return found if isinstance(found, str) else None
