"""``--help``: the most used flags first, then further settings of the models and the data, then the Trainer's."""

import inspect
import textwrap
from collections.abc import Iterable
from typing import Any

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.flags import FLAGS, Flag
from models import CifarNet, ResNetTransfer

MODELS: tuple[type, ...] = (CifarNet, ResNetTransfer)
DATA: tuple[type, ...] = (CIFAR10DataModule, ImageFolderDataModule)
_WIDTH, _INDENT = 100, 26

_ABOUT = {
    "fit": "Trains a network and tests it once. All files of a run are in --output_dir; the same command, given again, "
    "continues a run that was stopped.",
    "validate": "Evaluates a trained network on the validation images.",
    "test": "Evaluates a trained network on the test images.",
    "predict": "Labels the images in a folder and writes a table: file,label,probability.",
}
_MODEL_FLAGS = (
    Flag("--model", "", "NAME", "CifarNet (default), ResNetTransfer, or an import path: my_module.MyModel.", ("fit",)),
    Flag("--data", "", "NAME", "CIFAR10DataModule, ImageFolderDataModule, or an import path (default: the one that "
         "belongs to the model)."),
    Flag("--ckpt_path", "", "FILE", "Checkpoint of the network (default: the best or the last in --output_dir).",
         ("validate", "test", "predict")),
)  # fmt: skip
_RUN_FLAGS = (
    Flag("--resume", "", "WHAT", "auto: continue an unfinished run in --output_dir (default). never: move it to "
         "--output_dir/previous and start a new run. Or a checkpoint or a run folder to continue from.", ("fit",)),
    Flag("--monitor", "", "NAME", "Metric that chooses best.ckpt (default: val_accuracy, or else val_loss).", ("fit",)),
    Flag("--monitor_mode", "", "MODE", "min or max: which value of it is best (default: min for a loss or an error).",
         ("fit",)),
    Flag("--csv", "", "FILE", "The table (default: predictions.csv in --output_dir).", ("predict",)),
    Flag("--config", "", "FILE", "Settings from a YAML file, such as a run's config.yaml."),
    Flag("--print_config", "", "", "Print all settings as a YAML file and stop."),
)  # fmt: skip
_AZUREML = (
    ("exit_timeout", "X", "Seconds that the program may wait for the delivery at its end."),
    ("priority", "[A,B]", "Metrics to deliver first if there are more than the 50 names that Azure ML takes."),
    ("stop_on_nonfinite", "B", "Whether a metric that is NaN or infinite stops the run."),
)


def command_help(command: str, trainer_defaults: dict[str, Any], parser_help: str) -> str:
    """The help of one command; of ``parser_help``, the parser's own text, only the Trainer's part is kept."""
    listed = [flag for flag in (FLAGS[0], *_MODEL_FLAGS, *FLAGS[1:], *_RUN_FLAGS) if command in flag.commands]
    flags = [
        _entry(f"{flag.name} {flag.placeholder}", _description(flag, command, trainer_defaults)) for flag in listed
    ]
    name = f"python -m lightning_app{'.fit' if command == 'fit' else f' {command}'}"
    return "\n\n".join(
        [
            f"usage: {name} [--FLAG VALUE ...]",
            textwrap.fill(_ABOUT[command], _WIDTH),
            "Most used flags:\n" + "\n".join(flags),
            "Further settings of the models, --model.NAME VALUE (--model.help CLASS explains them):\n"
            + _settings(MODELS),
            "Further settings of the data, --data.NAME VALUE (--data.help CLASS explains them):\n" + _settings(DATA),
            *([_azureml_part()] if command == "fit" else []),
            "Settings of Lightning's Trainer:\n" + _trainer_part(parser_help),
        ]
    )


def overview() -> str:
    """The help of the program as a whole."""
    return "\n".join(
        [
            "usage: python -m lightning_app COMMAND [--FLAG VALUE ...]",
            "",
            *(_entry(command, text) for command, text in _ABOUT.items()),
            "",
            "python -m lightning_app COMMAND --help explains the flags of a command.",
            "python -m lightning_app.fit is short for python -m lightning_app fit.",
            "",
        ]
    )


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, _WIDTH - _INDENT)
    head = f"  {name.strip()}"
    if len(head) > _INDENT - 2:
        return "\n".join([head, *(" " * _INDENT + line for line in lines)])
    return "\n".join([head.ljust(_INDENT) + lines[0], *(" " * _INDENT + line for line in lines[1:])])


def _description(flag: Flag, command: str, trainer_defaults: dict[str, Any]) -> str:
    if command == "predict" and flag.name == "--data_path":
        return "Folder with the images to label, in subfolders as well."
    return flag.help + _default(flag, trainer_defaults)


def _default(flag: Flag, trainer_defaults: dict[str, Any]) -> str:
    """The default, from the constructor or the Trainer setting that owns it."""
    part, _, name = flag.target.removeprefix("--").partition(".")
    if part in ("model", "data"):
        owners = {owner.__name__: _parameters(owner)[name] for owner in MODELS + DATA if name in _parameters(owner)}
        (_, first), *others = owners.items()
        text = _as_text(first) + "".join(f", {owner} {_as_text(value)}" for owner, value in others if value != first)
    elif flag.target:
        text = _as_text(trainer_defaults[name or part])
    else:
        return ""
    return f" (default: {text})" if text and flag.placeholder else ""


def _settings(owners: Iterable[type]) -> str:
    short = {flag.target.rpartition(".")[2] for flag in FLAGS} | {"classes"}
    return "\n".join(
        _entry(
            owner.__name__,
            ", ".join(f"{n} ({_as_text(v)})" for n, v in _parameters(owner).items() if n not in short) or "none",
        )
        for owner in owners
    )


def _azureml_part() -> str:
    defaults = _parameters(AzureMLRunLogger)
    entries = (
        _entry(f"--azureml.{name} {value}", f"{text} (default: {_as_text(defaults[name])})")
        for name, value, text in _AZUREML
    )
    return "Settings of the logger, which delivers metrics to the run in an Azure ML job:\n" + "\n".join(entries)


def _parameters(owner: type) -> dict[str, Any]:
    signature = inspect.signature(owner)
    return {name: parameter.default for name, parameter in signature.parameters.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _trainer_part(text: str) -> str:
    start = text.find("  --trainer.accelerator")
    end = text.find("  --model.help")
    part = text[start:end].rsplit("\n\n", 1)[0] if end > start >= 0 else text
    return part.rstrip() + "\n"
