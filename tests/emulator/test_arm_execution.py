"""Jobs of SDK v2 that the emulator runs: their shapes, inputs, outputs and variables."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator, Run
from submit.emulator.workspace import API_HOST, SCOPE
from submit.execution.worker import Worker
from tests.support.submitters import until
from tests.support.submitters_v2 import V2Submitter

Send = Callable[..., Run]
REPORT = """python - "$LEVEL" <<'PROGRAM'
import json, os, sys
names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
print(json.dumps({name: os.environ[name] for name in names if name in os.environ}))
PROGRAM"""


@pytest.fixture
def send(service: AzureMLEmulator, tmp_path: Path) -> Iterator[Send]:
    """Sends a job without code, and returns its run when it has ended."""
    submitter = V2Submitter(service, tmp_path).with_sources()
    number = iter(range(100))

    def send_job(command: str, nodes: int = 1, **properties: Any) -> Run:
        name = f"job-{next(number)}"
        body = {
            "jobType": "Command",
            "command": command,
            "computeId": f"{SCOPE}/computes/gpu-cluster",
            "environmentId": "azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/labels/latest",
            "experimentName": "exp",
            "resources": {"instanceCount": nodes},
            **properties,
        }
        assert submitter.manage("PUT", f"{SCOPE}/jobs/{name}", {"properties": body})[0] == 201
        until(lambda: service.run(name).ended is not None)
        return service.run(name)

    with Worker(service, tmp_path / "jobs", 2, lambda line: None):
        yield send_job


def logs(run: Run) -> dict[str, str]:
    return {name: content.decode() for name, content in run.artifacts.items() if name.startswith("user_logs/")}


@pytest.mark.parametrize("kind", ["PyTorch", "Mpi"])
@pytest.mark.parametrize(("nodes", "processes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_each_process_of_a_shape_has_its_rank(send: Send, kind: str, nodes: int, processes: int) -> None:
    distribution = {"distributionType": kind, "processCountPerInstance": processes}

    run = send(REPORT, nodes, distribution=distribution)

    found = [json.loads(text) for _, text in sorted(logs(run).items())]
    ranks = [(node, local) for node in range(nodes) for local in range(processes)]
    if kind == "PyTorch":
        size = str(nodes * processes)
        expected = [
            {"RANK": str(rank), "LOCAL_RANK": str(local), "NODE_RANK": str(node), "WORLD_SIZE": size}
            for rank, (node, local) in enumerate(ranks)
        ]
    else:
        expected = [
            {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_LOCAL_SIZE": str(processes)}
            for rank in range(len(ranks))
        ]
    assert (run.status, run.error) == ("Completed", None)
    assert found == expected


def test_inputs_and_outputs_are_paths_in_the_command_and_in_variables(send: Send, service: AzureMLEmulator) -> None:
    service.add_datastore_file("data/a.txt", b"a")
    service.add_datastore_file("data/b/b.txt", b"b")
    service.add_data("letters", "data")
    inputs = {
        "mounted": {"jobInputType": "uri_folder", "uri": f"{SCOPE}/data/letters/versions/1", "mode": "ReadOnlyMount"},
        "copied": {
            "jobInputType": "uri_file",
            "uri": "azureml://datastores/workspaceblobstore/paths/data/a.txt",
            "mode": "Download",
        },
        "words": {"jobInputType": "literal", "value": "two words"},
    }
    kept = "azureml://datastores/workspaceblobstore/paths/kept/${{name}}/"
    outputs = {"new": {"jobOutputType": "uri_folder"}, "named": {"jobOutputType": "uri_folder", "uri": kept}}

    run = send(
        "cat ${{inputs.mounted}}/b/b.txt ${{inputs.copied}} && echo ${{ inputs.words }} $TEXT"
        " && [ ${{inputs.mounted}} = $AZURE_ML_INPUT_mounted ] && [ ${{outputs.new}} = $AZURE_ML_OUTPUT_new ]"
        " && echo new > ${{outputs.new}}/new.txt && echo named > $AZURE_ML_OUTPUT_named/named.txt"
        " && ! touch ${{inputs.mounted}}/c 2> /dev/null && mkdir outputs && echo kept > outputs/kept.txt",
        inputs=inputs,
        outputs=outputs,
        environmentVariables={"TEXT": "${{inputs.words}}"},
    )

    assert (run.status, run.error) == ("Completed", None)
    assert logs(run) == {"user_logs/std_log.txt": "batwo words ${{inputs.words}}\n"}
    assert run.artifacts["outputs/kept.txt"] == b"kept\n"
    assert service.datastore[f"azureml/{run.id}/new/new.txt"] == b"new\n"
    assert service.datastore[f"kept/{run.id}/named.txt"] == b"named\n"


def test_a_job_has_the_variables_of_its_run_and_of_mlflow(send: Send) -> None:
    run = send("env | grep -E '^(AZUREML|MLFLOW)_' | grep -v TOKEN | sort")

    found = dict(line.split("=", 1) for line in logs(run)["user_logs/std_log.txt"].splitlines())
    assert found["MLFLOW_TRACKING_URI"] == f"azureml://{API_HOST}/mlflow/v1.0{SCOPE}"
    assert (found["MLFLOW_RUN_ID"], found["AZUREML_RUN_ID"]) == (run.id, run.id)
    assert found["MLFLOW_EXPERIMENT_ID"] == found["AZUREML_EXPERIMENT_ID"]
    assert found["MLFLOW_EXPERIMENT_NAME"] == "exp"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"command": "cat ${{inputs.none}}"}, "the command has ${{inputs.none}}, and the job has no such input"),
        (
            {
                "command": "true",
                "inputs": {"data": {"jobInputType": "uri_folder", "uri": "azureml://jobs/x/outputs/y/paths/z"}},
            },
            "input 'data': 'azureml://jobs/x/outputs/y/paths/z' isn't emulated; "
            "expected azureml://datastores/NAME/paths/PATH",
        ),
        (
            {
                "command": "true",
                "inputs": {
                    "data": {"jobInputType": "uri_folder", "uri": "azureml://datastores/workspaceblobstore/paths/dta/"}
                },
            },
            "input 'data': the datastore 'workspaceblobstore' has no files in 'dta/'",
        ),
        ({"command": "exit 3"}, "the process of rank 0 ended with exit code 3: see user_logs"),
    ],
)
def test_a_job_that_cannot_run_fails_with_the_reason(send: Send, settings: dict[str, Any], error: str) -> None:
    run = send(**settings)

    assert (run.status, run.error) == ("Failed", error)


def test_a_job_is_ended_after_its_timeout(send: Send) -> None:
    run = send("sleep 600", limits={"jobLimitsType": "Command", "timeout": "PT1S"})

    assert run.status == "Failed"
