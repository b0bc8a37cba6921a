"""A sweep job of SDK v2: what it needs, and the job of each of its runs."""

import re
from collections.abc import Mapping
from typing import Any

from submit.emulator.api.sweeps import POLICIES
from submit.emulator.arm import command_job
from submit.emulator.arm.resources import known
from submit.emulator.messages import ApiError
from submit.emulator.state import State

SAMPLINGS = ("Random", "Grid", "Bayesian")
GOALS = ("Maximize", "Minimize")
_OF_THE_TRIAL = ("codeId", "command", "environmentId", "environmentVariables", "distribution", "resources")
_OF_THE_SWEEP = ("computeId", "inputs", "outputs", "queueSettings", "identity", "experimentName")
_DRAWN = re.compile(r"\$\{\{\s*search_space\.(\w+)\s*\}\}")


def check(state: State, properties: Mapping[str, Any]) -> dict[str, bytes]:
    """As ``command_job.check``, for the sweep and each of its runs.

    Raises:
        ApiError: The workspace doesn't have something, or the emulator couldn't run the sweep.
    """
    sampling = (properties.get("samplingAlgorithm") or {}).get("samplingAlgorithmType")
    known(sampling, SAMPLINGS, "samplingAlgorithmType")
    objective = properties.get("objective") or {}
    known(str(objective.get("goal")).capitalize(), GOALS, "objective: goal")  # the client leaves it as it is written
    if not objective.get("primaryMetric"):
        raise ApiError(400, "UserError", "the objective has no primaryMetric")
    if not properties.get("searchSpace"):
        raise ApiError(400, "UserError", "the sweep has no searchSpace")
    if policy := properties.get("earlyTermination"):
        known(policy.get("policyType"), POLICIES, "earlyTermination: policyType")
    named = set(_DRAWN.findall(str((properties.get("trial") or {}).get("command"))))
    if unknown := sorted(named - set(properties["searchSpace"])):
        raise ApiError(400, "UserError", f"the command has search_space.{unknown[0]}, which is not in the searchSpace")
    return command_job.check(state, trial(properties, {}))


def trial(properties: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of the job with these hyperparameters; a name without a value stays in the command."""
    job: dict[str, Any] = {"jobType": "Command"}
    job |= {name: properties[name] for name in _OF_THE_SWEEP if properties.get(name) is not None}
    sent = properties.get("trial") or {}
    job |= {name: sent[name] for name in _OF_THE_TRIAL if sent.get(name) is not None}
    job["command"] = _DRAWN.sub(lambda found: str(values.get(found[1], found[0])), str(sent.get("command") or ""))
    timeout = (properties.get("limits") or {}).get("trialTimeout")
    if timeout:
        job["limits"] = {"jobLimitsType": "Command", "timeout": timeout}
    return job
