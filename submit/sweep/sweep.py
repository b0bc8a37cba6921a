"""The description of a sweep: which parameters, drawn how, for which metric. It knows no SDK."""

import math
from dataclasses import dataclass
from typing import Literal

from submit.job import Job

MAX_CONCURRENT = 100
"""HyperDrive's limit."""

Value = int | float | str
Sampling = Literal["grid", "random", "bayesian"]
Goal = Literal["maximize", "minimize"]
Distribution = Literal["choice", "uniform", "loguniform", "quniform"]


@dataclass(frozen=True)
class Parameter:
    """A flag of the training whose values are drawn.

    Attributes:
        name: The flag without its dashes, such as "learning_rate" or "model.gamma".
        arguments: The values of a choice; else the smallest and the largest value, and the step of quniform.
    """

    name: str
    distribution: Distribution
    arguments: tuple[Value, ...]

    @property
    def drawn(self) -> tuple[Value, ...]:
        """Values as HyperDrive draws them: all of a choice, else both ends, which are written with a decimal point."""
        if self.distribution == "choice":
            return self.arguments
        ends = [float(value) for value in self.arguments[:2]]
        if self.distribution == "quniform":
            step = float(self.arguments[2])
            ends = [round(end / step) * step for end in ends]
        return tuple(ends)

    @property
    def placeholder(self) -> str:
        """Stands for the drawn value in a job's command."""
        return f"{{sweep.{self.name}}}"

    @property
    def key(self) -> str:
        """Its name at HyperDrive, which makes it an environment variable."""
        return self.name.replace(".", "_")


@dataclass(frozen=True)
class EarlyStopping:
    """How runs that fall behind are ended; an interval is the time between two reports of the metric.

    Attributes:
        slack_factor: For bandit: the share by which a run may fall behind the best one.
    """

    policy: str
    evaluation_interval: int = 1
    delay_evaluation: int = 0
    slack_factor: float | None = None


@dataclass(frozen=True)
class Sweep:
    """Runs of one job that differ in its parameters; the job's command has the parameters' placeholders."""

    job: Job
    parameters: tuple[Parameter, ...]
    sampling: Sampling
    metric: str
    goal: Goal
    max_runs: int
    max_concurrent: int
    stopping: EarlyStopping | None = None


def combinations(parameters: tuple[Parameter, ...]) -> int:
    """The number of combinations of the values of choices."""
    return math.prod(len(parameter.arguments) for parameter in parameters)
