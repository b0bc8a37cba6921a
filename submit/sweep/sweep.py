"""The description of a sweep: which parameters, drawn how, for which metric. It knows no SDK."""

import math
from dataclasses import dataclass
from typing import Literal

from submit.job import Job

MAX_CONCURRENT = 100
"""HyperDrive's own limit."""

Value = int | float | str
Sampling = Literal["grid", "random", "bayesian"]
Goal = Literal["maximize", "minimize"]
Distribution = Literal["choice", "uniform", "loguniform", "quniform"]


@dataclass(frozen=True)
class Parameter:
    """A flag of the training whose values are drawn.

    Attributes:
        name: The flag without its dashes, such as "learning_rate" or "model.gamma".
        arguments: The values of a choice; else the least and the largest value, and the step of quniform.
    """

    name: str
    distribution: Distribution
    arguments: tuple[Value, ...]

    @property
    def first(self) -> Value:
        """One of its values."""
        return self.arguments[0]

    @property
    def word(self) -> str:
        """Stands in a job's command for the value that is drawn."""
        return f"{{sweep.{self.name}}}"

    @property
    def key(self) -> str:
        """Its name at HyperDrive, which makes an environment variable of it."""
        return self.name.replace(".", "_")


@dataclass(frozen=True)
class EarlyStopping:
    """How runs that fall behind are ended; an interval is from one report of the metric to the next.

    Attributes:
        slack_factor: Of bandit: a run may fall behind the best one by this share.
    """

    policy: Literal["bandit", "median"]
    evaluation_interval: int = 1
    delay_evaluation: int = 0
    slack_factor: float | None = None


@dataclass(frozen=True)
class Sweep:
    """Runs of one job, which differ in its parameters; the job's command has their words in it."""

    job: Job
    parameters: tuple[Parameter, ...]
    sampling: Sampling
    metric: str
    goal: Goal
    max_runs: int
    max_concurrent: int
    stopping: EarlyStopping | None = None


def combinations(parameters: tuple[Parameter, ...]) -> int:
    """Of the values of choices."""
    return math.prod(len(parameter.arguments) for parameter in parameters)
