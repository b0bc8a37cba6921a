"""Runs the sweeps of the emulator: their runs are jobs, so many of them at a time, and a policy may end them early."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from submit.execution import v2_sweep
from submit.execution.draws import Wanted, draw
from submit.execution.early_termination import EarlyTermination, policy_of_v1, policy_of_v2
from submit.execution.submissions import POLL_SECONDS, Submissions

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator, SubmittedJob

_ENDED = ("Completed", "Failed", "Canceled")
_SWEEP_VARIABLE = "AZUREML_SWEEP_"  # HyperDrive sets these for runs with a command


class Sweeper:
    """Takes each sweep and submits its runs, which a ``Worker`` executes. Use it as a context manager."""

    def __init__(self, service: "AzureMLEmulator") -> None:
        self._service = service
        self._sweeps = Submissions(lambda: service.sweeps, self._run)
        self._stopped = self._sweeps.stopped

    def __enter__(self) -> "Sweeper":
        self._sweeps.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._sweeps.__exit__()

    def _run(self, sweep: "SubmittedJob") -> None:
        if self._service.run(sweep.run_id).status in _ENDED:  # it was cancelled before it began
            return
        try:
            self._service.set_run_status(sweep.run_id, "Running")
            self._submit_all(sweep)
        except Exception as error:  # whatever a sweep's definition can cause ends the sweep, and not the service
            self._service.set_run_status(sweep.run_id, "Failed", str(error))

    def _submit_all(self, sweep: "SubmittedJob") -> None:
        is_v2 = "properties" in sweep.definition
        wanted = v2_sweep.wanted(sweep.definition) if is_v2 else _wanted(sweep.definition)
        children: list[str] = []
        termination = _termination(sweep.definition, is_v2)
        for number, values in enumerate(draw(wanted.space, wanted.is_grid, wanted.total, sweep.run_id)):
            if not self._wait(sweep, children, wanted.concurrent, termination):
                return
            name = f"{sweep.run_id}_{number}"
            if is_v2:
                self._service.submit_v2_child(sweep, name, values)
            else:
                self._submit(sweep, name, values)
            children.append(name)
        if self._wait(sweep, children, 1, termination):
            if is_v2:
                v2_sweep.name_best(self._service, sweep, children)
            self._service.set_run_status(sweep.run_id, "Completed")

    def _submit(self, sweep: "SubmittedJob", name: str, values: Mapping[str, Any]) -> None:
        configuration = copy.deepcopy(sweep.definition["platform_config"]["Definition"]["Overrides"])
        if configuration.get("command"):
            variables = {f"{_SWEEP_VARIABLE}{key}": str(value) for key, value in values.items()}
            configuration["environmentVariables"] = (configuration.get("environmentVariables") or {}) | variables
        else:
            # HyperDrive takes names with and without their dashes
            flags = [word for key, value in values.items() for word in (f"--{key.lstrip('-')}", str(value))]
            configuration["arguments"] = [*(configuration.get("arguments") or []), *flags]
        text = json.dumps(values)
        self._service.submit_child(sweep.run_id, name, configuration, sweep.files, {"hyperparameters": text})
        self._service.tag_run(sweep.run_id, {f"_aml_system_{name}": text})

    def _wait(
        self, sweep: "SubmittedJob", children: list[str], fewer_than: int, termination: "_Termination | None"
    ) -> bool:
        """Waits until fewer runs than this are at work; False when the sweep is over, whose runs are then cancelled."""
        while True:
            working = [child for child in children if self._service.run(child).status not in _ENDED]
            if self._stopped.is_set() or self._service.run(sweep.run_id).status in _ENDED:
                for child in working:
                    self._service.set_run_status(child, "Canceled")
                return False
            if termination is not None:
                self._end_early(termination, children, working)
            if len(working) < fewer_than:
                return True
            self._stopped.wait(POLL_SECONDS)

    def _end_early(self, termination: "_Termination", children: Sequence[str], working: Sequence[str]) -> None:
        rows = {child: self._service.run(child).metrics.get(termination.metric, ()) for child in children}
        values = {child: [float(row.data[termination.metric]) for row in found] for child, found in rows.items()}
        for child in termination.rule.runs_to_end(values, working):
            self._service.set_run_status(child, "Canceled")


@dataclass(frozen=True)
class _Termination:
    """What ends runs early, and the metric that it looks at."""

    metric: str
    rule: EarlyTermination


def _termination(definition: Mapping[str, Any], is_v2: bool) -> _Termination | None:
    if is_v2:
        properties = definition["properties"]
        policy, objective = policy_of_v2(properties), properties["objective"]
        metric, goal = objective["primaryMetric"], objective["goal"]
    else:
        policy, objective = policy_of_v1(definition["policy_config"]), definition["primary_metric_config"]
        metric, goal = objective["name"], objective["goal"]
    return None if policy is None else _Termination(metric, EarlyTermination(policy, goal.lower() == "maximize"))


def _wanted(definition: Mapping[str, Any]) -> Wanted:
    """What a sweep of SDK v1 draws."""
    generator = definition["generator_config"]
    is_grid = generator["name"].lower() == "grid"
    return Wanted(
        generator["parameter_space"], is_grid, definition["max_total_jobs"], definition["max_concurrent_jobs"]
    )
