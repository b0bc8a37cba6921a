"""What several processes have accumulated, given to another number of processes: each value counts once."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import CatMetric, MaxMetric, MeanMetric, Metric

from lightning_app.checkpointing.process_state import _metric_state, _restore_metric
from lightning_app.checkpointing.redistribution import redistribute
from models.step_metrics import StepMetrics


class Model(nn.Module):
    """A metric of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.largest, self.all, self.steps = MeanMetric(), MaxMetric(), CatMetric(), StepMetrics(3)


def state(model: nn.Module, mean: float = 0.0, count: int = 0) -> dict[str, Any]:
    """As ``collect_state`` makes it, with a mean that a module logs for the whole epoch."""
    used = {n: m for n, m in model.named_modules() if isinstance(m, Metric) and m._update_count}
    values = {"value": torch.tensor(mean * count), "cumulated_batch_size": torch.tensor(count)}
    return {
        "random": "of this rank",
        "metrics": {name: _metric_state(metric) for name, metric in used.items()},
        "modules": {n: m.resume_state() for n, m in model.named_modules() if isinstance(m, StepMetrics)},
        "means": {"training_step.loss": {"meta": {"reduce_fx": "mean"}, "values": values}},
    }


def updated(values: list[float]) -> Model:
    model = Model()
    for value in values:
        for metric in (model.mean, model.largest, model.all):
            metric.update(value)
        # the second class is predicted, and right for values above 2
        model.steps.add(torch.tensor(value), torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([int(value > 2)]))
    return model


def restored(states: list[dict[str, Any]], rank: int, world_size: int) -> tuple[Model, dict[str, Any]]:
    model = Model()
    mine = redistribute(states, model, rank, world_size)
    modules = dict(model.named_modules())
    for name, saved in mine["metrics"].items():
        _restore_metric(modules[name], saved)
    model.steps.load_resume_state(mine["modules"]["steps"])
    return model, mine


def test_one_process_has_what_two_have_accumulated() -> None:
    states = [state(updated([1.0, 5.0]), 2.0, 8), state(updated([3.0, 7.0]), 4.0, 8)]

    model, mine = restored(states, rank=0, world_size=1)

    assert (model.mean.compute(), model.largest.compute()) == (4.0, 7.0)
    assert model.all.compute().tolist() == [1.0, 5.0, 3.0, 7.0]
    assert model.steps.mean_since_last() == {"loss": 4.0, "accuracy": 0.75}
    values = mine["means"]["training_step.loss"]["values"]
    assert values["value"] / values["cumulated_batch_size"] == 3.0
    assert values["cumulated_batch_size"] == 16


@pytest.mark.parametrize("world_size", [2, 3])
def test_several_processes_have_together_what_one_has_accumulated(world_size: int) -> None:
    states = [state(updated([1.0, 5.0]), 2.0, 12)]

    models, mine = zip(*(restored(states, rank, world_size) for rank in range(world_size)), strict=True)

    assert sum(float(model.mean.weight) for model in models) == 2
    assert sum(float(model.mean.mean_value) for model in models) == 6.0
    assert [float(model.largest.compute()) for model in models] == [5.0] * world_size
    assert sum((model.all.value for model in models[1:]), start=models[0].all.value) == [1.0, 5.0]
    shares = [each["means"]["training_step.loss"]["values"] for each in mine]
    assert sum(share["cumulated_batch_size"] for share in shares) == 12
    assert all(share["value"] / share["cumulated_batch_size"] == 2.0 for share in shares)
    steps = [model.steps.resume_state() for model in models]
    assert [each["losses"][0].tolist() for each in steps] == [
        [1.0, 5.0]
    ] * world_size  # with a weight of 1 / world_size
    assert sum(len(part) for each in steps for part in each["labels"]) == 2


class Uncombined(Metric):
    """Its values of several processes are kept apart."""

    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", torch.zeros(2), dist_reduce_fx=None)

    def update(self, value: Tensor) -> None:
        self.values = self.values + value

    def compute(self) -> Tensor:
        return self.values


def test_a_metric_whose_values_cannot_be_combined_is_named(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.ModuleDict({"apart": Uncombined()})
    model["apart"].update(torch.ones(2))

    mine = redistribute([state(model), state(model)], model, rank=0, world_size=1)

    assert mine["metrics"] == {}
    assert [record.message for record in caplog.records] == [
        "The metric 'apart' can't be continued by another number of processes: what it has accumulated since it was "
        "last reset is left out."
    ]
