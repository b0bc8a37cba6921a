"""Which runs of a sweep a policy ends."""

from collections.abc import Mapping, Sequence

import pytest

from submit.execution.early_termination import (
    BANDIT,
    MEDIAN,
    TRUNCATION,
    EarlyTermination,
    Policy,
    policy_of_v1,
    policy_of_v2,
)

REPORTS = {"good": [0.1, 0.5, 0.8], "fair": [0.1, 0.5, 0.7], "poor": [0.1, 0.4, 0.4]}


def ended(policy: Policy, reports: Mapping[str, Sequence[float]], maximizes: bool = True) -> list[str]:
    return EarlyTermination(policy, maximizes).runs_to_end(reports, list(reports))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(BANDIT, slack_factor=0.2), ["poor"]),  # 0.8 / 1.2 is 0.67
        (Policy(BANDIT, slack_factor=0.1), ["fair", "poor"]),
        (Policy(BANDIT, slack_amount=0.2), ["poor"]),
        (Policy(BANDIT, evaluation_interval=2, slack_factor=0.2), ["poor"]),  # at the second report
        (Policy(BANDIT, evaluation_interval=2, slack_factor=0.3), []),
        (Policy(BANDIT, delay_evaluation=4, slack_factor=0.1), []),
        (Policy(MEDIAN), ["poor"]),  # of the averages 0.47, 0.43 and 0.3
        (Policy(TRUNCATION, truncation_percentage=20), []),  # of three runs, no whole one
        (Policy(TRUNCATION, truncation_percentage=40), ["poor"]),
    ],
)
def test_a_policy_ends_the_runs_that_are_worse_than_it_allows(policy: Policy, expected: list[str]) -> None:
    falling = {run: [-value for value in values] for run, values in REPORTS.items()}

    assert ended(policy, REPORTS) == expected
    assert ended(policy, falling, maximizes=False) == expected


def test_runs_are_compared_at_the_same_report_and_judged_once_there() -> None:
    rule = EarlyTermination(Policy(BANDIT, slack_factor=0.1), maximizes=True)

    assert rule.runs_to_end({"first": [0.1, 0.9], "second": [0.1]}, ["first", "second"]) == []
    assert rule.runs_to_end({"first": [0.1, 0.9], "second": [0.1, 0.5]}, ["first", "second"]) == ["second"]
    assert rule.runs_to_end({"first": [0.1, 0.9], "second": [0.1, 0.5]}, ["first", "second"]) == []


def test_a_loss_that_is_near_zero_is_compared_by_its_share() -> None:
    losses = {"best": [0.10], "near": [0.109], "far": [0.12]}

    assert ended(Policy(BANDIT, slack_factor=0.1), losses, maximizes=False) == ["far"]


def test_policies_are_read_from_the_requests_of_both_sdks() -> None:
    properties = {"evaluation_interval": 2, "delay_evaluation": 4, "slack_factor": 0.1}
    v2 = {"policyType": "Bandit", "evaluationInterval": 2, "delayEvaluation": 4, "slackFactor": 0.1, "slackAmount": 0.0}

    expected = Policy(BANDIT, 2, 4, 0.1)
    assert policy_of_v1({"name": "Bandit", "properties": properties}) == expected
    assert policy_of_v2({"earlyTermination": v2}) == expected
    assert policy_of_v1({"name": "Default"}) is None
    assert policy_of_v2({"earlyTermination": None}) is None
