"""``--optimizer`` and ``--lr_scheduler``, as Lightning's command line has them, in place of those of the model."""

import importlib
import inspect
from collections.abc import Mapping
from functools import partial, update_wrapper
from types import MethodType
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningCLI, instantiate_class
from torch.optim.lr_scheduler import OneCycleLR

from lightning_app.command_line.flags import short_name
from lightning_app.errors import UsageError, one_line, shown
from models import ImageClassifier

_RATE = "learning_rate"  # of a model; the optimizer's is its "lr"
# settings of this project's own optimizers and schedules, and what takes their place
_REPLACED = {
    "momentum": "--optimizer.momentum",
    "weight_decay": "--optimizer.weight_decay",
    "schedule": "--lr_scheduler",
    "step_size": "--lr_scheduler StepLR --lr_scheduler.step_size",
    "gamma": "--lr_scheduler StepLR --lr_scheduler.gamma",
}
_SEVERAL_TIMES = "LBFGS"  # computes the gradients of a batch several times
_ONE_RATE_FOR_ALL = ("OneCycleLR", "CyclicLR", "ReduceLROnPlateau")  # for the heads of --model.learning_rates


def check(settings: Namespace, given: Mapping[str, Any]) -> None:
    """Checks that a chosen optimizer goes with the model's settings, and gives both the same learning rate.

    Args:
        settings: Of ``fit``. The learning rate of the model or that of the optimizer, whichever the user has given,
            becomes that of both; without either it is the optimizer's default.
        given: The settings that the user has given.

    Raises:
        UsageError: Two settings exclude each other.
    """
    optimizer, scheduler = settings.optimizer, settings.lr_scheduler
    if not optimizer:
        if scheduler:
            raise UsageError(
                f"--lr_scheduler {_name(scheduler)}: needs --optimizer, in whose place the model's own optimizer and "
                "schedule are otherwise; give both, such as --optimizer SGD --optimizer.momentum 0.9"
            )
        return
    model: Any = settings.model.get("init_args") or {}  # a class without arguments has no such section
    if _is_own(settings.model.class_path):
        _check_own(settings.model.class_path, model, _name(optimizer))
    rates = model.get("learning_rates")
    if rates:
        _check_heads(rates, scheduler, "lr" in _init_args(given, "optimizer"))
    elif _RATE in model:
        _agree(model, optimizer, given)


def use(model: pl.LightningModule, optimizer: Namespace, scheduler: Namespace | None, epochs: int | None) -> None:
    """Lets a model train with an optimizer and, if there is one, the schedule of its learning rate.

    It is as in ``LightningCLI.configure_optimizers``: the schedule has a step after each epoch. Unlike there, only
    parameters that need a gradient are trained: a frozen backbone and ``BackboneFinetuning`` stay what they are.

    Raises:
        UsageError: Their arguments can't be used, or not with this model.
    """
    schedule = None if scheduler is None else scheduler.as_dict()
    configure = partial(_configured, optimizer=optimizer.as_dict(), scheduler=schedule)
    update_wrapper(configure, _configured)  # without it, Lightning wouldn't know that the method is overridden
    model.configure_optimizers = MethodType(configure, model)  # type: ignore[method-assign]  # on the instance
    if any(parameter.requires_grad for parameter in model.parameters()):  # otherwise they are made later
        _check_length(model.configure_optimizers(), epochs)  # making them finds arguments that are wrong


def _configured(model: pl.LightningModule, optimizer: dict[str, Any], scheduler: dict[str, Any] | None) -> Any:
    arguments = dict(optimizer.get("init_args") or {})
    if "lr" in arguments and hasattr(model, _RATE):
        arguments["lr"] = getattr(model, _RATE)  # a finder may have changed it, and a resumed run has what was found
    if isinstance(model, ImageClassifier):
        parameters: Any = model.trained_parameters()
    else:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    made = _made("--optimizer", parameters, optimizer | {"init_args": arguments})
    schedule = None if scheduler is None else _made("--lr_scheduler", made, scheduler)
    return LightningCLI.configure_optimizers(model, made, schedule)


def _check_length(configured: Any, epochs: int | None) -> None:
    """Of torch's schedules, one ends with an error where there are more steps, here epochs, than it was made for."""
    scheduler = configured[1][0] if isinstance(configured, tuple) else None
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < (epochs or 0):
        raise UsageError(
            f"--lr_scheduler OneCycleLR: has a step after each epoch, and is made for {scheduler.total_steps} steps; "
            f"give --lr_scheduler.total_steps {epochs}, as --num_epochs"
        )


def _made(flag: str, subject: Any, init: dict[str, Any]) -> Any:
    try:
        return instantiate_class(subject, init)
    except Exception as error:  # of a library or of the user's own class, by errors of many kinds
        raise UsageError(f"{flag} {init['class_path'].rpartition('.')[2]}: {one_line(error)}") from error


def _check_own(class_path: str, model: Mapping[str, Any], name: str) -> None:
    if name == _SEVERAL_TIMES:
        raise UsageError(
            f"--optimizer {name}: computes the gradients of a batch several times, which would count in the metrics "
            "as often; give another optimizer, or train a module of your own with it"
        )
    defaults = inspect.signature(_imported(class_path)).parameters
    for setting, instead in _REPLACED.items():
        if setting in model and model[setting] != defaults[setting].default:
            raise UsageError(
                f"{short_name(f'model.{setting}')} {shown(model[setting])}: is of the model's own optimizer, in whose "
                f"place --optimizer {name} is; give {instead} or leave it out"
            )


def _check_heads(rates: Any, scheduler: Namespace | None, has_rate: bool) -> None:
    given = f"--model.learning_rates {shown(rates)}"
    if has_rate:
        raise UsageError(f"{given} and --optimizer.lr: give one of them")
    if scheduler and (name := _name(scheduler)) in _ONE_RATE_FOR_ALL:
        raise UsageError(f"{given}: --lr_scheduler {name} has one learning rate for all heads; give another schedule")


def _agree(model: Namespace, optimizer: Namespace, given: Mapping[str, Any]) -> None:
    arguments = optimizer.get("init_args") or {}
    of_model, of_optimizer = _RATE in _init_args(given, "model"), "lr" in _init_args(given, "optimizer")
    if "lr" not in arguments:
        if of_model:
            raise UsageError(f"--learning_rate {model[_RATE]}: --optimizer {_name(optimizer)} has no setting lr")
        return
    if of_model and of_optimizer and model[_RATE] != arguments["lr"]:
        raise UsageError(
            f"--learning_rate {model[_RATE]} and --optimizer.lr {arguments['lr']}: two learning rates; give one of them"
        )
    if of_model:
        arguments["lr"] = model[_RATE]
    else:
        model[_RATE] = arguments["lr"]


def _init_args(given: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """What the user has given of the arguments of a class, with and without ``init_args`` between."""
    section = given.get(part)
    if not isinstance(section, Mapping):
        return {}
    inner = section.get("init_args")
    return {**section, **(inner if isinstance(inner, Mapping) else {})}


def _is_own(class_path: str) -> bool:
    return issubclass(_imported(class_path), ImageClassifier)


def _imported(class_path: str) -> type:
    module, _, name = class_path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _name(chosen: Namespace) -> str:
    return str(chosen["class_path"]).rpartition(".")[2]
