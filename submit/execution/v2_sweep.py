"""A sweep of SDK v2: what it draws, and which of its runs is the best."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from submit.execution.draws import Wanted

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, SubmittedJob

MOST_TRIALS = 1000  # of a sweep that doesn't say how many
BEST = "best_child_run_id"  # the property of the sweep that azure-ai-ml reads


def wanted(definition: Mapping[str, Any]) -> Wanted:
    properties = definition["properties"]
    limits = properties.get("limits") or {}
    total = int(limits.get("maxTotalTrials") or MOST_TRIALS)
    is_grid = properties["samplingAlgorithm"]["samplingAlgorithmType"] == "Grid"
    return Wanted(properties["searchSpace"], is_grid, total, int(limits.get("maxConcurrentTrials") or total))


def name_best(service: "AzureMLEmulator", sweep: "SubmittedJob", children: Sequence[str]) -> None:
    """Writes the run with the best value of the primary metric into the sweep's properties, if any has it."""
    objective = sweep.definition["properties"]["objective"]
    choose = max if objective["goal"].lower() == "maximize" else min
    name = objective["primaryMetric"]
    values = {
        child: choose(float(row.data[name]) for row in rows)
        for child in children
        if (rows := service.run(child).metrics.get(name))
    }
    if values:
        service.set_property(sweep.run_id, BEST, choose(values, key=lambda child: values[child]))
