"""The state of one process that a checkpoint of Lightning lacks: random numbers, metrics, modes of the modules."""

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.connectors.logger_connector.result import _Metadata, _ResultMetric, _Sync
from torch import Tensor, nn
from torchmetrics import Metric


def random_states() -> dict[str, Any]:
    """The global random states of Python, NumPy, torch and this process's GPU, as values that torch loads safely.

    Numbers are in tensors: to save the 625 of Python one by one takes longer than the weights of a small network.
    """
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, _as_tensor(numbers), gauss],
        "numpy": [name, _as_tensor(keys), *rest],
    }
    if _has_gpu():
        states["gpu"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers.tolist() if isinstance(numbers, Tensor) else numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if "gpu" in states and _has_gpu():
        torch.cuda.set_rng_state(states["gpu"])


@cache
def _has_gpu() -> bool:
    """To ask torch takes as long as the rest of a process's random states."""
    return torch.cuda.is_available()


def _as_tensor(numbers: Any) -> Tensor:
    return torch.from_numpy(np.asarray(numbers, dtype=np.int64))


def collect_state(trainer: pl.Trainer, model: pl.LightningModule) -> dict[str, Any]:
    """What ``restore_state`` needs, as values that torch loads safely, on the CPU."""
    return {
        "random": random_states(),
        "evaluating": _evaluating_modules(trainer, model),
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "metrics": {name: _metric_state(metric) for name, metric in _used_metrics(model)},
        "modules": {name: _on_cpu(module.resume_state()) for name, module in _resumable_modules(model)},
        "means": {
            key: _mean_state(mean)
            for key, mean in trainer.fit_loop.epoch_loop._results.items()
            if mean.meta.on_epoch and not mean.has_reset
        },
        "callback_metrics": _on_cpu(dict(trainer._logger_connector._callback_metrics)),
    }


def restore_state(trainer: pl.Trainer, model: pl.LightningModule, state: dict[str, Any]) -> None:
    """Restores a collected state of this process, while the Trainer fits the model."""
    set_random_states(state["random"])
    for name, module in model.named_modules():
        module.training = name not in state["evaluating"]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad != (name not in state["frozen"]):
            parameter.requires_grad_(name not in state["frozen"])
    trainer._logger_connector._callback_metrics.update(_on_device(state["callback_metrics"], model.device))
    modules = dict(model.named_modules())
    for name, values in state["metrics"].items():
        _restore_metric(modules.get(name), _on_device(values, model.device))
    restore_modules(model, state)
    for key, mean in state["means"].items():
        trainer.fit_loop.epoch_loop._results[key] = _restored_mean(trainer, modules, mean)
    trainer._logger_connector._first_loop_iter = False  # before an epoch's first batch Lightning resets the means


def restore_modules(model: pl.LightningModule, state: dict[str, Any]) -> None:
    """Restores what modules have given for a resume, and nothing else."""
    modules = dict(model.named_modules())
    for name, values in state["modules"].items():
        if (load := getattr(modules.get(name), "load_resume_state", None)) is not None:
            load(_on_device(values, model.device))


_PLAIN = (
    "fx",
    "name",
    "prog_bar",
    "logger",
    "on_step",
    "on_epoch",
    "enable_graph",
    "add_dataloader_idx",
    "dataloader_idx",
    "metric_attribute",
)
_VALUES = ("value", "cumulated_batch_size")


def _mean_state(mean: _ResultMetric) -> dict[str, Any]:
    """Of what a module logs for the whole epoch: a running mean (or sum, or extreme), or a metric of the module."""
    values = {name: getattr(mean, name) for name in _VALUES if isinstance(getattr(mean, name, None), Tensor)}
    sync = mean.meta.sync
    return {
        "meta": {name: getattr(mean.meta, name) for name in _PLAIN} | {"reduce_fx": mean.meta.reduce_fx.__name__},
        "sync": {"_should": sync.should, "_op": sync.op, "rank_zero_only": sync.rank_zero_only},
        "values": _on_cpu(values),
    }


def _restored_mean(trainer: pl.Trainer, modules: dict[str, nn.Module], state: dict[str, Any]) -> _ResultMetric:
    meta = _Metadata(**state["meta"])
    meta.sync = _Sync(fn=trainer.strategy.reduce, **state["sync"])
    mean = _ResultMetric(meta, is_tensor=bool(state["values"]))
    mean.to(trainer.strategy.root_device)
    for name, value in _on_device(state["values"], trainer.strategy.root_device).items():
        setattr(mean, name, value)
    if not mean.is_tensor:
        mean.value = modules[meta.metric_attribute or ""]
    mean._update_count = 1  # torchmetrics warns of a value that was never updated
    return mean


def _evaluating_modules(trainer: pl.Trainer, model: pl.LightningModule) -> list[str]:
    """The modules that training has in evaluation mode; during a validation all are, and Lightning keeps the modes."""
    if trainer.validating:
        return [
            name for name, training in trainer.fit_loop.epoch_loop.val_loop._module_mode.mode.items() if not training
        ]
    return [name for name, module in model.named_modules() if not module.training]


def _used_metrics(model: nn.Module) -> Iterator[tuple[str, Metric]]:
    return ((n, m) for n, m in model.named_modules() if isinstance(m, Metric) and m._update_count)


def _resumable_modules(model: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if hasattr(module, "resume_state"))


def _metric_state(metric: Metric) -> dict[str, Any]:
    states = {name: getattr(metric, name) for name in metric._defaults}
    return {"updates": metric._update_count, "states": _on_cpu(states)}


def _restore_metric(metric: nn.Module | None, saved: dict[str, Any]) -> None:
    if isinstance(metric, Metric):
        for name, value in saved["states"].items():
            setattr(metric, name, value)
        metric._update_count, metric._computed = saved["updates"], None


def _on_cpu(value: Any) -> Any:
    return _on_device(value, torch.device("cpu"))


def _on_device(value: Any, device: torch.device) -> Any:
    """Copies the tensors in lists and dicts: the state must not change when training goes on."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, dict):
        return {name: _on_device(each, device) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_on_device(each, device) for each in value]
    return value
