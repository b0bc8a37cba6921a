"""Which runs of a sweep are ended early, as Azure ML documents its policies.

https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BANDIT, MEDIAN, TRUNCATION = "Bandit", "MedianStopping", "TruncationSelection"
POLICIES = (BANDIT, MEDIAN, TRUNCATION)


@dataclass(frozen=True)
class Policy:
    """An early termination policy.

    Args:
        kind: One of ``POLICIES``.
        evaluation_interval: It applies at each report of the metric whose number is a multiple of this.
        delay_evaluation: It applies at no report before this one.
        slack_factor: For bandit: the share by which a run may fall behind the best one.
        slack_amount: The same as a difference, if there is no factor.
        truncation_percentage: For truncation: how many of the runs are ended at each evaluation.
    """

    kind: str
    evaluation_interval: int = 1
    delay_evaluation: int = 0
    slack_factor: float = 0.0
    slack_amount: float = 0.0
    truncation_percentage: int = 0

    def report_to_judge(self, reports: int) -> int | None:
        """The number of the newest report at which it applies to a run with so many of them."""
        newest = reports - reports % max(1, self.evaluation_interval)
        return newest if newest >= max(1, self.delay_evaluation) else None


def policy_of_v1(config: Mapping[str, Any]) -> Policy | None:
    """That of a sweep of SDK v1; None for the one that ends nothing."""
    if config["name"] not in POLICIES:
        return None
    known = Policy.__dataclass_fields__
    return Policy(config["name"], **{name: value for name, value in config["properties"].items() if name in known})


def policy_of_v2(properties: Mapping[str, Any]) -> Policy | None:
    """That of a sweep job of SDK v2."""
    given = properties.get("earlyTermination") or {}
    if given.get("policyType") not in POLICIES:
        return None
    return Policy(
        given["policyType"],
        int(given.get("evaluationInterval") or 1),
        int(given.get("delayEvaluation") or 0),
        float(given.get("slackFactor") or 0),
        float(given.get("slackAmount") or 0),
        int(given.get("truncationPercentage") or 0),
    )


@dataclass
class EarlyTermination:
    """A policy at work: it judges each run once at each report at which it applies."""

    policy: Policy
    maximizes: bool
    _judged: set[tuple[str, int]] = field(default_factory=set)

    def runs_to_end(self, values: Mapping[str, Sequence[float]], working: Collection[str]) -> list[str]:
        """The runs at work that fall behind.

        Args:
            values: The reported values of the metric, by run, also of those that have ended.
            working: The runs that have not.
        """
        signed = {run: [value if self.maximizes else -value for value in found] for run, found in values.items()}
        behind = []
        for run in working:
            number = self.policy.report_to_judge(len(signed.get(run, ())))
            if number is not None and (run, number) not in self._judged:
                self._judged.add((run, number))
                peers = {peer: found[:number] for peer, found in signed.items() if len(found) >= number}
                if self._is_behind(run, peers):
                    behind.append(run)
        return behind

    def _is_behind(self, run: str, peers: Mapping[str, Sequence[float]]) -> bool:
        """Whether a run is worse than the policy allows, given what it and others have reported; more is better."""
        best = {peer: max(found) for peer, found in peers.items()}
        if self.policy.kind == MEDIAN:
            return best[run] < statistics.median(statistics.fmean(found) for found in peers.values())
        if self.policy.kind == TRUNCATION:
            ended = len(peers) * self.policy.truncation_percentage // 100
            return run in sorted(peers, key=lambda peer: peers[peer][-1])[:ended]
        return best[run] < self._least_allowed(max(best.values()))

    def _least_allowed(self, best: float) -> float:
        factor = 1 + self.policy.slack_factor
        if factor == 1:
            return best - self.policy.slack_amount
        return best / factor if best > 0 else best * factor
