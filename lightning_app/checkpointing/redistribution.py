"""The state with which each process continues a run that had another number of processes.

What the processes have accumulated counts once: sums and lists go to rank 0, means and extremes to all.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat, dim_zero_max, dim_zero_mean, dim_zero_min, dim_zero_sum

log = logging.getLogger(__name__)

State = dict[str, Any]


def redistribute(states: Sequence[State], model: nn.Module, rank: int, world_size: int) -> State:
    """The state of one process.

    Args:
        states: Those of the earlier processes, by rank; see ``collect_state``.
        model: The model, whose metrics say how their values are combined.
        rank: The rank of the process.
        world_size: The number of processes now.

    Returns:
        Random states, modes and the like are those of rank 0: each process of a new run begins with the same ones.
    """
    modules = dict(model.named_modules())
    return states[0] | {
        "metrics": _metrics(states, modules, rank),
        "modules": {
            name: modules[name].merge_resume_states([state["modules"][name] for state in states], rank)
            for name in states[0]["modules"]
            if hasattr(modules.get(name), "merge_resume_states")
        },
        "means": {key: _mean([state["means"][key] for state in states if key in state["means"]], world_size)
                  for key in _names(states, "means")},
    }  # fmt: skip


def _names(states: Sequence[State], kind: str) -> list[str]:
    """In order, each once: a metric may be in use on some of the processes only."""
    return list(dict.fromkeys(name for state in states for name in state[kind]))


def _metrics(states: Sequence[State], modules: Mapping[str, nn.Module], rank: int) -> State:
    merged = {}
    for name in _names(states, "metrics"):
        metric = modules.get(name)
        if isinstance(metric, Metric):
            saved = [state["metrics"][name] for state in states if name in state["metrics"]]
            if set(metric._reductions.values()) <= _EVERYWHERE.keys() | _ON_RANK_0.keys():
                merged[name] = _metric(saved, metric, rank)
            elif rank == 0:
                log.warning(
                    "The metric %r can't be continued by another number of processes: what it has accumulated since it "
                    "was last reset is left out.",
                    name,
                )
    return merged


def _metric(saved: Sequence[State], metric: Metric, rank: int) -> State:
    values, has_values = {}, rank == 0
    for name, reduction in metric._reductions.items():
        parts = [each["states"][name] for each in saved]
        if reduction in _EVERYWHERE:
            values[name], has_values = _EVERYWHERE[reduction](torch.stack(parts), dim=0), True
        elif rank == 0:
            values[name] = _ON_RANK_0[reduction](parts)
        else:
            default = metric._defaults[name]
            values[name] = default.clone() if isinstance(default, Tensor) else []
    return {"updates": sum(each["updates"] for each in saved) if has_values else 0, "states": values}


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, parts)


def _concatenated(parts: Sequence[Any]) -> Any:
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else [each for part in parts for each in part]


_EVERYWHERE: dict[Any, Any] = {dim_zero_mean: torch.mean, dim_zero_max: torch.amax, dim_zero_min: torch.amin}
_ON_RANK_0: dict[Any, Any] = {dim_zero_sum: _sum, dim_zero_cat: _concatenated}


def _mean(saved: Sequence[State], world_size: int) -> State:
    """Of what a module logs for the whole epoch. Each process gets the same share, also where they aren't combined."""
    values = {}
    for name in saved[0]["values"]:
        parts = torch.stack([each["values"][name] for each in saved])
        kind = saved[0]["meta"]["reduce_fx"]
        values[name] = parts.amax(0) if kind == "max" else parts.amin(0) if kind == "min" else parts.sum(0) / world_size
    return saved[0] | {"values": values}
