"""A sweep for azureml-train-core: a HyperDriveConfig, its request, and sending it.

azureml-core has no HyperDrive. azureml.core is imported first, because azureml.train otherwise imports itself in a
circle and logs that at length.
"""

import json
import math
import shlex
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error
from submit.sweep.sweep import EarlyStopping, Parameter, Sweep
from submit.v1.job import for_cluster, script_run_config

if TYPE_CHECKING:
    from azureml.core import Run, ScriptRunConfig, Workspace
    from azureml.train.hyperdrive import EarlyTerminationPolicy, HyperDriveConfig, HyperParameterSampling

VARIABLE = "$AZUREML_SWEEP_"  # HyperDrive sets these variables for runs with a command


def require_sdk() -> None:
    """Raises SubmitError if the SDK's package for HyperDrive isn't installed."""
    import azureml.core

    try:
        import azureml.train.hyperdrive  # noqa: F401 whether it is there
    except ImportError as error:
        raise SubmitError("sweep: it needs the extra 'sweep': pip install 'lightning-azureml[sweep]'") from error


def hyperdrive_config(sweep: Sweep, workspace: "Workspace | None" = None) -> "HyperDriveConfig":
    """The sweep as it is submitted; ``workspace`` as for ``submit.v1.job.script_run_config``."""
    from azureml.train.hyperdrive import HyperDriveConfig, PrimaryMetricGoal

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # submit.sweep.validation gives its advice
        return HyperDriveConfig(
            run_config=_script_run_config(sweep, workspace),
            hyperparameter_sampling=_sampling(sweep),
            policy=_policy(sweep.stopping),
            primary_metric_name=sweep.metric,
            primary_metric_goal=PrimaryMetricGoal.from_str(sweep.goal),
            max_total_runs=sweep.max_runs,
            max_concurrent_runs=sweep.max_concurrent,
        )


def build_request(sweep: Sweep) -> dict[str, Any]:
    """The part of the request's body that is known without a network, which lacks the workspace and the snapshot."""
    from azureml._execution._commands import _serialize_run_config_to_dict
    from azureml.core.script_run_config import get_run_config_from_script_run

    config = hyperdrive_config(sweep)
    run_config = _serialize_run_config_to_dict(get_run_config_from_script_run(config.run_config))
    content = {
        "generator_config": config._generator_config,
        "max_concurrent_jobs": config._max_concurrent_runs,
        "max_total_jobs": config._max_total_runs,
        "max_duration_minutes": config._max_duration_minutes,
        "platform": config._platform,
        "platform_config": {"Definition": {"Overrides": run_config, "TargetDetails": None}},
        "policy_config": config._policy_config,
        "primary_metric_config": config._primary_metric_config,
        "name": sweep.job.experiment,
    }
    request: dict[str, Any] = json.loads(json.dumps(content))
    return request


def _script_run_config(sweep: Sweep, workspace: "Workspace | None") -> "ScriptRunConfig":
    config = script_run_config(sweep.job, workspace)
    variables = {shlex.quote(parameter.placeholder): f"{VARIABLE}{parameter.key}" for parameter in sweep.parameters}
    # a string, as azureml-core makes it for a job; azureml-train-core would send a list
    config.command = " ".join(variables.get(word, word) for word in config.command)
    return config


def _sampling(sweep: Sweep) -> "HyperParameterSampling":
    from azureml.train import hyperdrive

    kinds = {
        "grid": hyperdrive.GridParameterSampling,
        "random": hyperdrive.RandomParameterSampling,
        "bayesian": hyperdrive.BayesianParameterSampling,
    }
    return kinds[sweep.sampling]({parameter.key: _expression(parameter) for parameter in sweep.parameters})


def _expression(parameter: Parameter) -> Any:
    from azureml.train import hyperdrive

    if parameter.distribution == "loguniform":  # HyperDrive draws exp(uniform(A, B))
        return hyperdrive.loguniform(*(math.log(float(bound)) for bound in parameter.arguments))
    return getattr(hyperdrive, parameter.distribution)(*parameter.arguments)


def _policy(stopping: EarlyStopping | None) -> "EarlyTerminationPolicy":
    from azureml.train.hyperdrive import BanditPolicy, MedianStoppingPolicy, NoTerminationPolicy

    if stopping is None:
        return NoTerminationPolicy()
    when = {"evaluation_interval": stopping.evaluation_interval, "delay_evaluation": stopping.delay_evaluation}
    if stopping.policy == "median":
        return MedianStoppingPolicy(**when)
    return BanditPolicy(slack_factor=stopping.slack_factor, **when)


def send_sweep(sweep: Sweep, workspace: "Workspace") -> "Run":
    """Sends a sweep and returns its parent run.

    Raises:
        SubmitError: Azure ML refuses the sweep or doesn't respond.
    """
    from azureml.core import Experiment

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sent = replace(sweep, job=for_cluster(sweep.job, workspace))
            return Experiment(workspace, sweep.job.experiment).submit(
                hyperdrive_config(sent, workspace), tags=dict(sweep.job.tags)
            )
    except SubmitError:
        raise
    except Exception as error:  # azureml-core raises errors of several libraries
        raise SubmitError(f"Azure ML didn't accept the sweep: {describe_error(error)}") from error
