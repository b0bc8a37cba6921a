"""The text of ``--help``: the commands and this project's flags. It loads neither torch nor Lightning.

Lightning's own flags are on demand, see ``lightning_app.command_line.class_help``.
"""

import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_app.command_line.flags import COMMANDS, FLAGS, Flag
from lightning_app.command_line.recipes import RECIPE, recipe_names

WIDTH, _INDENT = 80, 25

_ABOUT = {
    "fit": "Trains a network and tests it once. All files of a run are in --output_dir; the same command, given again, "
    "continues a run that was stopped.",
    "validate": "Evaluates a trained network on the validation images.",
    "test": "Evaluates a trained network on the test images.",
    "predict": "Labels the images in a folder and writes a table: file,label,probability. With "
    "--data.skip_broken true, files that can't be read are in it with the reason, instead of ending the command.",
}
_ABOUT_OTHERS = {
    "report": "Writes an HTML file that shows a run, or compares several. fit writes that of its own run.",
    "export": "Writes a trained network as ONNX or torch.export, if that gives the same labels.",
    "serve": "Answers pictures with their labels, over HTTP.",
}
_MODEL_FLAGS = (
    Flag("--model", "", "NAME", "CifarNet (default), CifarResNet, ResNetTransfer or your own, by import path: "
         "my_module.MyModel.", ("fit",)),
    Flag("--model.architecture", "", "NAME", "Of ResNetTransfer: another image classifier of torchvision, such as "
         "efficientnet_b0 or vit_b_16.", ("fit",)),
    Flag("--data", "", "NAME", "CIFAR10DataModule, ImageFolderDataModule or your own, by import path (default: the one "
         "that belongs to the model)."),
    Flag("--ckpt_path", "", "FILE", "Checkpoint of the network (default: the best or the last in --output_dir).",
         ("validate", "test", "predict")),
)  # fmt: skip
_RUN_FLAGS = (
    Flag("--optimizer", "", "NAME", "An optimizer of torch in place of the model's own SGD, such as AdamW; "
         "--optimizer.help lists them. Its settings are --optimizer.NAME, such as --optimizer.weight_decay.", ("fit",)),
    Flag("--lr_scheduler", "", "NAME", "With --optimizer: a schedule of the learning rate, such as CosineAnnealingLR, "
         "with a step after each epoch; --lr_scheduler.help lists them.", ("fit",)),
    Flag("--model.label_smoothing", "", "X", "Share of each training label that is spread over all classes.", ("fit",)),
    Flag("--model.class_weights", "", "W", "balanced: the loss counts all classes alike, however many images they "
         "have. Or a weight for each, such as 1,2.5.", ("fit",)),
    Flag("--model.mixup_alpha", "", "X", "Mix training images by MixUp, such as 0.2.", ("fit",)),
    Flag("--model.cutmix_alpha", "", "X", "Mix training images by CutMix, such as 1.0.", ("fit",)),
    Flag(RECIPE, "", "NAME", f"Settings that come with this program: {', '.join(recipe_names())}. Other flags count "
         "more.", ("fit",)),
    Flag("--resume", "", "WHAT", "auto: continue an unfinished run in --output_dir (default). never: move it to "
         "--output_dir/previous and start a new run. Or a checkpoint, a run folder or the id of a run of Azure ML to "
         "continue from.", ("fit",)),
    Flag("--init_from", "", "FILE", "Begin a new run with the weights in a checkpoint or a state_dict of torch.",
         ("fit",)),
    Flag("--checkpoint_every", "--checkpoint_every", "N", "Steps or time between two saves within an epoch, such as "
         "500, 30s or 1h.", ("fit",)),
    Flag("--checkpoint_keep", "--checkpoint_keep", "N", "Checkpoints to keep beside last.ckpt and best.ckpt.",
         ("fit",)),
    Flag("--checkpoint_dir", "", "DIR", "A second folder, such as a mounted one, for copies from which a run continues "
         "whose --output_dir is lost.", ("fit",)),
    Flag("--monitor", "", "NAME", "Metric that chooses best.ckpt (default: val_accuracy, or else val_loss).", ("fit",)),
    Flag("--monitor_mode", "", "MODE", "min or max: which value of it is best (default: min for a loss or an error).",
         ("fit",)),
    Flag("--early_stopping", "", "N", "End the training after N validations in a row without a better value of this "
         "metric (default: never).", ("fit",)),
    Flag("--on_preemption", "", "WHAT", "When Azure announces that it takes the machine away: end after a checkpoint, "
         "or save and go on, or ignore it (default: auto: end on a low-priority cluster, otherwise ignore).", ("fit",)),
    Flag("--steps_per_execution", "", "N", "Steps of which only the last has Lightning's hooks (default: auto: as "
         "many as nothing needs to see; 1: each step has them).", ("fit",)),
    Flag("--csv", "", "FILE", "The table (default: predictions.csv in the run folder of the network). A name that ends "
         "in .jsonl gets JSON lines.", ("predict",)),
    Flag("--top_k", "", "K", "The K most probable labels of each image (default: 1).", ("predict",)),
    Flag("--stall_timeout", "--stall_timeout", "X", "Seconds for which one process may block the others, time for "
         "reading and saving data not included."),
    Flag("--config", "", "FILE", "Settings from a YAML file, such as a run's config.yaml."),
    Flag("--print_config", "", "", "Print all settings as a YAML file and stop."),
)  # fmt: skip
_OF_CHECKPOINT = ("--data_path", "--data", "--batch_size", "--num_workers", "--seed")
_AZUREML = (
    ("exit_timeout", "X", "Seconds that the program may wait for the delivery at its end."),
    ("priority", "[A,B]", "Metrics to deliver first if there are more than the 50 names that Azure ML takes."),
    ("stop_on_nonfinite", "B", "Whether a metric that is NaN or infinite stops the run."),
)
_TRAINER = (
    "Further flags: those of Lightning's Trainer, such as --trainer.devices, --trainer.num_nodes, "
    "--trainer.accelerator, --trainer.precision, --trainer.max_time and --trainer.callbacks. --trainer.help lists all "
    "of them; --trainer.callbacks.help and --trainer.logger.help list the classes that they take."
)


@dataclass(frozen=True)
class Owners:
    """The classes whose parameters are settings, and the defaults of other flags by name."""

    models: Sequence[type]
    data: Sequence[type]
    logger: type
    defaults: Mapping[str, Any]


def asks_for_overview(words: Sequence[str]) -> bool:
    """Whether the command line asks for the help of the program and not of a command or a class."""
    return not set(words) & set(COMMANDS) and bool(set(words) & {"-h", "--help"})


def overview() -> str:
    """The help of the program as a whole."""
    return "\n".join(
        [
            "usage: python -m lightning_app COMMAND [--FLAG VALUE ...]",
            "",
            *(_entry(command, text) for command, text in (_ABOUT | _ABOUT_OTHERS).items()),
            "",
            "python -m lightning_app COMMAND --help explains the flags of a command.",
            "python -m lightning_app.fit is short for python -m lightning_app fit.",
        ]
    )


def command_help(command: str, owners: Owners) -> str:
    """The help of one command: the flags of this project with their defaults."""
    name = f"python -m lightning_app{'.fit' if command == 'fit' else f' {command}'}"
    return "\n\n".join(
        [
            f"usage: {name} [--FLAG VALUE ...]",
            textwrap.fill(_ABOUT[command], WIDTH),
            _command_flags(command, owners),
            *([_model_part(owners.models)] if command == "fit" else []),
            "Settings of the data, --data.NAME VALUE; --data.help CLASS explains them:\n" + _settings(owners.data),
            *([_azureml_part(owners.logger)] if command == "fit" else []),
            textwrap.fill(_TRAINER, WIDTH),
        ]
    )


def table(entries: Iterable[tuple[str, str]]) -> str:
    """Names on the left, their descriptions on the right, within 80 columns."""
    return "\n".join(_entry(name, text) for name, text in entries)


def _command_flags(command: str, owners: Owners) -> str:
    listed = [flag for flag in (FLAGS[0], *_MODEL_FLAGS, *FLAGS[1:], *_RUN_FLAGS) if command in flag.commands]
    return table((f"{flag.name} {flag.placeholder}", _description(flag, command, owners)) for flag in listed)


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - _INDENT)
    head = f"  {name.strip()}"
    if len(head) > _INDENT - 2:
        return "\n".join([head, *(" " * _INDENT + line for line in lines)])
    return "\n".join([head.ljust(_INDENT) + lines[0], *(" " * _INDENT + line for line in lines[1:])])


def _description(flag: Flag, command: str, owners: Owners) -> str:
    if command == "predict" and flag.name == "--data_path":
        return "Folder with the images to label, in subfolders as well."
    if command != "fit" and flag.name in _OF_CHECKPOINT:
        text = flag.help.partition(" Without it")[0].partition(" (default")[0]
        return f"{text.removesuffix('.')} (default: as in the run of the checkpoint)."
    return flag.help + _default(flag, owners)


def _default(flag: Flag, owners: Owners) -> str:
    """The default, from the constructor or the Trainer setting that owns it."""
    part, _, name = flag.target.removeprefix("--").partition(".")
    if part in ("model", "data"):
        classes = [owner for owner in (*owners.models, *owners.data) if name in _parameters(owner)]
        defaults = {owner.__name__: _parameters(owner)[name] for owner in classes}
        (_, first), *others = defaults.items()
        text = _as_text(first) + "".join(f", {owner} {_as_text(value)}" for owner, value in others if value != first)
    elif flag.target:
        text = _as_text(owners.defaults[name or part])
    else:
        return ""
    return f" (default: {text})" if text and flag.placeholder else ""


def _settings(owners: Iterable[type]) -> str:
    explained = {flag.name.rpartition(".")[2] for flag in (*_MODEL_FLAGS, *_RUN_FLAGS) if "." in flag.name}
    short = {flag.target.rpartition(".")[2] for flag in FLAGS} | {"classes"} | explained
    return table(
        (
            owner.__name__,
            ", ".join(f"{n} ({_as_text(v)})" for n, v in _parameters(owner).items() if n not in short) or "none",
        )
        for owner in owners
    )


def _model_part(models: Sequence[type]) -> str:
    return "Settings of the models, --model.NAME VALUE; --model.help CLASS explains them:\n" + _settings(models)


def _azureml_part(logger: type) -> str:
    defaults = _parameters(logger)
    entries = (
        (f"--azureml.{name} {value}", f"{text} (default: {_as_text(defaults[name])})") for name, value, text in _AZUREML
    )
    return "Settings of the logger, which delivers metrics to the run in an Azure ML job:\n" + table(entries)


def _parameters(owner: type) -> dict[str, Any]:
    signature = inspect.signature(owner)
    return {name: parameter.default for name, parameter in signature.parameters.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
