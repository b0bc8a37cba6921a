"""A sweep for azure-ai-ml: a sweep job, and the YAML that ``az ml job create --file`` takes."""

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

import yaml

from submit.job import SERVERLESS
from submit.sweep.sweep import EarlyStopping, Parameter, Sweep
from submit.v2.job import command_job, without_empty, without_made_up_names

if TYPE_CHECKING:
    from azure.ai.ml.sweep import SweepJob

SCHEMA = "https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json"
_ORDER = (
    *("$schema", "type", "experiment_name", "trial", "inputs", "outputs", "compute", "resources", "queue_settings"),
    *("sampling_algorithm", "search_space", "objective", "early_termination", "limits", "tags"),
)


def sweep_job(sweep: Sweep, name: str | None = None) -> "SweepJob":
    """The sweep as it is submitted, under a name, or under one that the service chooses."""
    from azure.ai.ml.sweep import Objective, SweepJob, SweepJobLimits

    trial = command_job(sweep.job)
    for parameter in sweep.parameters:
        drawn = f"${{{{search_space.{parameter.key}}}}}"
        trial.command = trial.command.replace(shlex.quote(parameter.placeholder), drawn)
    is_serverless = sweep.job.compute == SERVERLESS
    return SweepJob(
        name=name,
        experiment_name=sweep.job.experiment,
        tags=dict(sweep.job.tags),
        trial=trial,
        inputs=trial.inputs,
        outputs=trial.outputs,
        compute=trial.compute,
        resources=trial.resources if is_serverless else None,
        queue_settings=trial.queue_settings,
        sampling_algorithm=sweep.sampling,
        search_space={parameter.key: _distribution(parameter) for parameter in sweep.parameters},
        objective=Objective(goal=sweep.goal, primary_metric=sweep.metric),
        early_termination=_policy(sweep.stopping),
        limits=SweepJobLimits(
            max_total_trials=sweep.max_runs,
            max_concurrent_trials=sweep.max_concurrent,
            trial_timeout=sweep.job.max_duration_seconds,
        ),
    )


def sweep_yaml(sweep: Sweep) -> str:
    """The sweep as a file for ``az ml job create --file``, which a person can send without this program."""
    content: dict[str, Any] = json.loads(json.dumps(sweep_job(sweep)._to_dict()))
    content["$schema"] = SCHEMA
    trial = without_empty(without_made_up_names(content["trial"]))
    # azure-ai-ml writes the whole path of this machine
    content["trial"] = {**trial, "code": str(sweep.job.source_directory)}
    content = without_empty(content)
    return yaml.safe_dump(
        {name: content[name] for name in _ORDER if name in content}, sort_keys=False, allow_unicode=True, width=120
    )


def _distribution(parameter: Parameter) -> Any:
    from azure.ai.ml import sweep

    if parameter.distribution == "choice":
        return sweep.Choice(list(parameter.arguments))
    low, high = (float(bound) for bound in parameter.arguments[:2])
    if parameter.distribution == "uniform":
        return sweep.Uniform(low, high)
    if parameter.distribution == "loguniform":  # the service draws exp(uniform(A, B))
        return sweep.LogUniform(math.log(low), math.log(high))
    return sweep.QUniform(low, high, int(parameter.arguments[2]))


def _policy(stopping: EarlyStopping | None) -> Any:
    from azure.ai.ml.sweep import BanditPolicy, MedianStoppingPolicy

    if stopping is None:
        return None
    when = {"evaluation_interval": stopping.evaluation_interval, "delay_evaluation": stopping.delay_evaluation}
    if stopping.policy == "median":
        return MedianStoppingPolicy(**when)
    return BanditPolicy(slack_factor=stopping.slack_factor or 0.0, **when)
