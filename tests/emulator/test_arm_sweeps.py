"""Sweeps that the real azure-ai-ml submits to the emulator, which runs them."""

from pathlib import Path

import pytest

from submit.execution.sweeper import Sweeper
from submit.execution.worker import Worker
from tests.support.projects import write_files
from tests.support.submitters_v2 import V2Submitter

TRAINING = b"""
import datetime, json, os, pathlib, sys, urllib.request, uuid

rate = float(sys.argv[1])
pathlib.Path("outputs").mkdir()
pathlib.Path("outputs/rate.txt").write_text(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
value = {"metricId": str(uuid.uuid4()), "createdUtc": now, "step": 0, "data": {"loss": abs(rate - 0.2)}}
metric = {"name": "loss", "columns": {"loss": "double"}, "value": [value]}
metric["properties"] = {"uxMetricType": "azureml.v1.scalar"}
scope = ("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}").format(
    *(os.environ["AZUREML_ARM_" + name] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")))
address = os.environ["AZUREML_SERVICE_ENDPOINT"] + f"/metric/v2.0{scope}/runs/{os.environ['AZUREML_RUN_ID']}/batch"
body = json.dumps({"values": [metric], "reportErrors": True}).encode()
headers = {"Authorization": "Bearer " + os.environ["AZUREML_RUN_TOKEN"], "Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(address, body, headers))
"""
SWEEP = """
from azure.ai.ml.sweep import BanditPolicy, Choice

job = training(
    command="python tune.py ${{inputs.rate}}", inputs={"rate": Choice([0.1, 0.2, 0.4])})
sweep = job.sweep(
    sampling_algorithm="grid", primary_metric="loss", goal="minimize",
    early_termination_policy=BanditPolicy(slack_factor=0.1, evaluation_interval=1))
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
