"""Sweeps that the real azure-ai-ml submits to the emulator, which runs them."""

from pathlib import Path

import pytest

from submit.execution.sweeper import Sweeper
from submit.execution.worker import Worker
from tests.support.projects import write_files
from tests.support.submitters_v2 import V2Submitter

TRAINING = b"""
import datetime, json, os, pathlib, sys, time, urllib.request, uuid

def report(step):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    value = {"metricId": str(uuid.uuid4()), "createdUtc": now, "step": step, "data": {"loss": abs(rate - 0.2)}}
    metric = {"name": "loss", "columns": {"loss": "double"}, "value": [value]}
    metric["properties"] = {"uxMetricType": "azureml.v1.scalar"}
    scope = ("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}").format(
        *(os.environ["AZUREML_ARM_" + name] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")))
    address = os.environ["AZUREML_SERVICE_ENDPOINT"] + f"/metric/v2.0{scope}/runs/{os.environ['AZUREML_RUN_ID']}/batch"
    body = json.dumps({"values": [metric], "reportErrors": True}).encode()
    headers = {"Authorization": "Bearer " + os.environ["AZUREML_RUN_TOKEN"], "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, body, headers))

rate = float(sys.argv[1])
pathlib.Path("outputs").mkdir()
pathlib.Path("outputs/rate.txt").write_text(sys.argv[1])
until_ended = "--until_ended" in sys.argv and rate != 0.2  # the best one ends by itself
report(0)
step = 1
while step < (50 if "--until_ended" in sys.argv else 4) or until_ended:
    report(step)
    step += 1
    time.sleep(0.1 if until_ended else 0)
"""
SWEEP = """
from azure.ai.ml.sweep import BanditPolicy, Choice

job = training(
    command="python tune.py ${{inputs.rate}}", inputs={"rate": Choice([0.1, 0.2, 0.4])})
sweep = job.sweep(
    sampling_algorithm="grid", primary_metric="loss", goal="minimize",
    early_termination_policy=BanditPolicy(slack_factor=0.1, evaluation_interval=1, delay_evaluation=5))
sweep.set_limits(max_total_trials=3, max_concurrent_trials=2)
sweep.name, sweep.experiment_name = "search", "exp"
ml.jobs.create_or_update(sweep)
while ml.jobs.get("search").status not in ("Completed", "Failed"):
    time.sleep(0.2)
found = ml.jobs.get("search")
ml.jobs.download("search", download_path="down")
print("\\n" + json.dumps({
    "type": found.type, "status": found.status, "best": found.properties["best_child_run_id"],
    "rate": pathlib.Path("down/artifacts/outputs/rate.txt").read_text(),
    "children": sorted([child.name, child.status] for child in ml.jobs.list(parent_job_name="search")),
    "listed": [job.name for job in ml.jobs.list()],
}))
"""


@pytest.mark.slow
def test_a_sweep_runs_and_its_best_run_is_downloaded(v2_submitter: V2Submitter, tmp_path: Path) -> None:
    write_files(tmp_path / "src", {"tune.py": TRAINING})

    with Worker(v2_submitter.service, tmp_path / "jobs", 2, lambda line: None), Sweeper(v2_submitter.service):
        result = v2_submitter.script_result(SWEEP)

    jobs = v2_submitter.service.jobs
    assert (result["type"], result["status"]) == ("sweep", "Completed")
    assert (result["best"], result["rate"]) == ("search_1", "0.2")
    assert result["children"] == [[f"search_{number}", "Completed"] for number in range(3)]
    assert result["listed"] == ["search"]
    assert [job.definition["properties"]["command"] for job in jobs] == [
        f"python tune.py {rate}" for rate in (0.1, 0.2, 0.4)
    ]


POLICIES = """
from azure.ai.ml.sweep import BanditPolicy, Choice, MedianStoppingPolicy, TruncationSelectionPolicy

found = {}
for policy in (
    BanditPolicy(slack_amount=0.05, evaluation_interval=1, delay_evaluation=2),
    MedianStoppingPolicy(evaluation_interval=2, delay_evaluation=2),
    TruncationSelectionPolicy(truncation_percentage=50, evaluation_interval=1),
):
    job = training(
        command="python tune.py ${{inputs.rate}} --until_ended", inputs={"rate": Choice([0.2, 0.9])})
    sweep = job.sweep(
        sampling_algorithm="grid", primary_metric="loss", goal="minimize", early_termination_policy=policy)
    # the second one is compared with the reports of the first one, of which there are enough for any delay
    sweep.set_limits(max_total_trials=2, max_concurrent_trials=1)
    sweep.name, sweep.experiment_name = policy.type, "exp"
    ml.jobs.create_or_update(sweep)
    while ml.jobs.get(policy.type).status not in ("Completed", "Failed"):
        time.sleep(0.2)
    found[policy.type] = [child.status for child in ml.jobs.list(parent_job_name=policy.type)]
print("\\n" + json.dumps(found))
"""


@pytest.mark.slow
def test_a_policy_ends_the_runs_that_fall_behind(v2_submitter: V2Submitter, tmp_path: Path) -> None:
    write_files(tmp_path / "src", {"tune.py": TRAINING})

    with Worker(v2_submitter.service, tmp_path / "jobs", 2, lambda line: None), Sweeper(v2_submitter.service):
        result = v2_submitter.script_result(POLICIES)

    ended = ["Completed", "Canceled"]
    assert result == dict.fromkeys(("bandit", "median_stopping", "truncation_selection"), ended)
