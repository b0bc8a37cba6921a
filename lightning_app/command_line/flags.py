"""Training flags: the tutorials' short names for settings of Lightning's command line, and reading flags from a list.

Each setting keeps one owner and one default, the constructor parameter (or the Trainer's) that the flag stands for. A
setting that is given under both of its names is refused.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lightning_app.errors import UsageError

COMMANDS = ("fit", "validate", "test", "predict")
# those without a Trainer, each with flags of its own, and the packages that have them
OTHER_COMMANDS = {"report": "report", "export": "export", "serve": "serving"}


@dataclass(frozen=True)
class Flag:
    """A short name, the setting that it stands for, a placeholder for its value, and its help text.

    A flag with an empty placeholder is a switch: it may stand without a value.
    """

    name: str
    target: str
    placeholder: str
    help: str
    commands: tuple[str, ...] = COMMANDS


FLAGS = (
    Flag("--data_path", "--data.data_path", "DIR", "Folder with the images. Without it, images are generated."),
    Flag("--learning_rate", "--model.learning_rate", "X", "Learning rate of SGD.", ("fit",)),
    Flag("--momentum", "--model.momentum", "X", "Momentum of SGD.", ("fit",)),
    Flag("--batch_size", "--data.batch_size", "N", "Images per step and process."),
    Flag("--num_epochs", "--trainer.max_epochs", "N", "Number of epochs.", ("fit",)),
    Flag("--num_workers", "--data.num_workers", "N", "Processes that decode image files."),
    Flag("--output_dir", "--trainer.default_root_dir", "DIR", "Folder of the run: checkpoints, metrics, settings."),
    Flag("--seed", "--seed_everything", "N", "Seed of all random numbers."),
    Flag("--download", "--data.download", "", "Download CIFAR-10 to --data_path first.", ("fit", "validate", "test")),
)
# what other programs call these settings, and what they are here
_SYNONYMS = {
    **dict.fromkeys(("lr", "learningrate", "base_lr", "eta"), ("learning_rate",)),
    **dict.fromkeys(("epochs", "epoch", "n_epochs", "num_epoch", "max_epoch"), ("num_epochs", "trainer.max_epochs")),
    **dict.fromkeys(("bs", "batch", "batchsize", "b"), ("batch_size",)),
    **dict.fromkeys(("workers", "num_worker", "n_workers", "j"), ("num_workers",)),
    **dict.fromkeys(("data_dir", "data_folder", "data_root", "dataset", "root", "images", "input"), ("data_path",)),
    **dict.fromkeys(("out", "out_dir", "output", "save_dir", "log_dir", "logdir", "run_dir"), ("output_dir",)),
    **dict.fromkeys(("gpus", "gpu", "num_gpus", "n_gpus", "ngpus", "nproc_per_node"), ("trainer.devices",)),
    **dict.fromkeys(("nodes", "nnodes", "n_nodes"), ("trainer.num_nodes",)),
    **dict.fromkeys(("device", "cuda", "cpu"), ("trainer.accelerator",)),
    **dict.fromkeys(("arch", "architecture", "network", "net", "backbone"), ("model.architecture", "model")),
    **dict.fromkeys(("ckpt", "checkpoint", "checkpoint_path", "resume_from", "weights"), ("ckpt_path", "resume")),
    **dict.fromkeys(("init", "pretrained", "warm_start", "finetune_from", "load_weights"), ("init_from",)),
    **dict.fromkeys(("fp16", "amp", "half", "bf16"), ("trainer.precision",)),
    **dict.fromkeys(("random_seed", "manual_seed", "random_state"), ("seed",)),
    **dict.fromkeys(("cfg", "config_file", "conf"), ("config",)),
    **dict.fromkeys(("img_size", "imgsz", "image_size", "crop_size"), ("data.image_size",)),
    **dict.fromkeys(("clip", "grad_clip", "clip_grad"), ("trainer.gradient_clip_val",)),
    **dict.fromkeys(("early_stop", "earlystopping", "patience", "early_stopping_patience"), ("early_stopping",)),
    **dict.fromkeys(("opt", "optim", "optimiser"), ("optimizer",)),
    **dict.fromkeys(("scheduler", "sched", "lr_schedule", "lrscheduler", "lr_policy"), ("lr_scheduler",)),
    **dict.fromkeys(("log_interval", "print_freq"), ("trainer.log_every_n_steps",)),
}
_BY_NAME = {flag.name: flag for flag in FLAGS}
_BY_TARGET = {flag.target: flag for flag in FLAGS}


def expand(arguments: Sequence[str]) -> list[str]:
    """The arguments of one command with every short name replaced by the full one.

    Raises:
        UsageError: A setting is given under both names, or a value is missing.
    """
    expanded: list[str] = []
    names_used: dict[str, str] = {}
    remaining = list(arguments)
    while remaining:
        name, equals, value = remaining.pop(0).partition("=")
        flag = _BY_NAME.get(name) or _BY_TARGET.get(name)
        if flag is None:
            expanded.append(name + equals + value)
            continue
        if names_used.setdefault(flag.name, name) != name:
            raise UsageError(f"{flag.name} and {flag.target} are one setting; give it once")
        if not equals:
            value = _pop_value(flag, name, remaining)
        _check_epochs(name, value)
        expanded.append(f"{flag.target}={value}")
    return expanded


def flag_values(arguments: Sequence[str], *names: str) -> Iterator[tuple[str, str]]:
    """Each of the named flags that is given, with its value, written as ``--flag value`` or ``--flag=value``.

    The value of a flag that has none, such as a switch, is an empty string.
    """
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            yield name, value if equals else "".join(_value_after(arguments, position))


def last_value(arguments: Sequence[str], *names: str) -> str | None:
    """The value that counts where a flag is given more than once; None if none of the named flags is given."""
    values = [value for _, value in flag_values(arguments, *names)]
    return values[-1] if values else None


def flag_names(arguments: Sequence[str]) -> list[str]:
    """The names of all flags that are given, with their dashes and without their values."""
    return [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]


def without_flag(arguments: Sequence[str], name: str) -> list[str]:
    """The arguments without one flag and its value, wherever and however often it is given."""
    kept: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if argument.partition("=")[0] != name:
            kept.append(argument)
        elif argument == name:
            position += len(_value_after(arguments, position))
        position += 1
    return kept


def short_name(setting: str) -> str:
    """The flag of a setting such as ``model.init_args.learning_rate``: the short name where there is one."""
    full = "--" + setting.replace(".init_args", "").removesuffix(".class_path")
    return _BY_TARGET[full].name if full in _BY_TARGET else full


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean --learning_rate?`` for a name that means or is nearly a known one."""
    choices = {choice.lower(): choice for choice in known}
    bare = name.lstrip("-").replace("-", "_").lower()
    dashes = "--" if name.startswith("-") else ""
    parts = [choice for choice in choices if choice.rpartition(".")[2] == bare]  # --max_epochs is --trainer.max_epochs
    meant = [f"--{other}" if dashes else other for other in _SYNONYMS.get(bare, ())]
    close = difflib.get_close_matches(dashes + bare, choices, n=1, cutoff=0.6)
    found = next((choices[choice] for choice in [dashes + bare, *meant, *parts, *close] if choice in choices), None)
    return f"; did you mean {found}?" if found else ""


def _value_after(arguments: Sequence[str], position: int) -> list[str]:
    """The argument after the flag at this position, unless it is the next flag: one string or none."""
    return [value for value in arguments[position + 1 : position + 2] if not value.startswith("--")]


def _pop_value(flag: Flag, name: str, remaining: list[str]) -> str:
    if not flag.placeholder:
        return remaining.pop(0) if remaining and remaining[0] in ("true", "false") else "true"
    if not remaining or not remaining[0] or remaining[0].startswith("--"):
        raise UsageError(f"{name}: expected a value ({flag.placeholder}) after it")
    return remaining.pop(0)


def _check_epochs(name: str, value: str) -> None:
    # Lightning's --trainer.max_epochs takes -1 for "no limit"; as a number of epochs, -1 is a mistake
    if name == "--num_epochs" and not (value.isdecimal() and int(value) > 0):
        raise UsageError(f"--num_epochs {value}: expected a whole number of at least 1")
