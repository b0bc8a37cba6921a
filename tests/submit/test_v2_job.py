"""From the command line to the command job of azure-ai-ml, without a network."""

import difflib
import os
from math import log
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_app.azureml.destination import CHOICE
from submit.commands.flags import job_options
from submit.commands.sweep import sweep_options
from submit.describe import describe_job
from submit.errors import SubmitError
from submit.job import JOB_KEY, DatastorePath, Job
from submit.main import parse_command
from submit.preflight.checks import check_folder
from submit.preflight.findings import report_findings
from submit.preflight.snapshot import Snapshot
from submit.sweep.describe import describe_sweep
from submit.v1.sdk import SDK as SDK_V1
from submit.v2.checks import job_findings
from submit.v2.job import command_job, job_yaml
from submit.v2.request import resumed_job
from submit.v2.sdk import SDK
from submit.v2.sweep import sweep_job, sweep_yaml
from tests.submit.test_command_line import TYPICAL, submit
from tests.support.commands import without_comments
from tests.support.preflight import texts, write

RECORD = Path(__file__).parents[1] / "support" / "records" / "typical_job_v2.yaml"
KEY = "0" * 32


def job_of(flags: str) -> Job:
    _, options, training = parse_command(["run", "--sdk", "v2", *flags.split()])
    return describe_job(job_options(options), training)


def as_sent(job: Any) -> dict[str, Any]:
    """The request's body, with what the service resolves as azure-ai-ml describes it."""
    body: dict[str, Any] = job._to_rest_object().as_dict()["properties"]
    environment = job.environment
    body["environmentId"] = environment if isinstance(environment, str) else dict(environment._to_dict())
    body["codeId"] = os.path.abspath(body["codeId"])  # noqa: PTH100 - as azure-ai-ml
    return body


def test_the_typical_job_is_the_recorded_one() -> None:
    """Delete the record where a change is meant: the test writes it anew, and fails once."""
    outcome = submit("run", "--sdk", "v2", "--dry_run", *TYPICAL.split(), "--env", f"{JOB_KEY}={KEY}")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    request = without_comments(outcome.stdout)
    if not RECORD.exists():
        RECORD.write_text(request)
        pytest.fail(f"{RECORD} is new; look at it, and commit it")

    difference = difflib.unified_diff(RECORD.read_text().splitlines(), request.splitlines(), lineterm="")

    assert "\n".join(difference) == "", f"Delete {RECORD} if this is meant."


@pytest.mark.parametrize(
    "flags",
    [
        "--nodes 2 --processes_per_node 4 --dataset cifar10 --max_duration 12h --env A=b --num_epochs 3 --tag team=x",
        "--launcher mpi --nodes 2 --dataset azureml://datastores/photos/paths/birds --download_dataset --tensorboard",
        "--compute serverless --vm_size Standard_NC4as_T4_v3 --low_priority --dataset data/cifar10 --shm_size 16g",
        "--environment azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/labels/latest",
        "--environment mine:7 --dataset cifar10:june-3",
        "--environment mine:7 --dataset cifar10@latest",
        "--docker_image me/image:1",
    ],
)
def test_the_file_of_a_dry_run_is_loaded_as_the_job_that_is_sent(flags: str, tmp_path: Path) -> None:
    """By ``load_job`` of azure-ai-ml, as ``az ml job create --file`` does."""
    from azure.ai.ml import load_job

    job = job_of(f"{flags} --source_directory {tmp_path} --env {JOB_KEY}={KEY}")
    file = tmp_path / "job.yaml"

    file.write_text(job_yaml(job))

    loaded = load_job(file)._to_job()
    assert as_sent(loaded) == as_sent(command_job(job))
    assert yaml.safe_load(file.read_text())["$schema"].endswith("/commandJob.schema.json")


@pytest.mark.parametrize("launcher", ["pytorch", "mpi"])
@pytest.mark.parametrize(("nodes", "processes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_both_launchers_count_the_processes_of_a_node(launcher: str, nodes: int, processes: int) -> None:
    body = as_sent(command_job(job_of(f"--nodes {nodes} --processes_per_node {processes} --launcher {launcher}")))

    assert body["resources"]["instanceCount"] == nodes
    assert body["distribution"]["processCountPerInstance"] == processes
    assert body["distribution"]["distributionType"].lower() == launcher
    assert (JOB_KEY in body["environmentVariables"]) == (nodes * processes > 1)


def test_a_low_priority_job_has_a_folder_for_its_checkpoints() -> None:
    from submit.low_priority import for_low_priority

    body = as_sent(command_job(for_low_priority(job_of("--compute serverless --low_priority"))))

    assert body["command"].endswith(" --checkpoint_dir ${{outputs.checkpoints}}")
    assert body["outputs"]["checkpoints"]["mode"] == "ReadWriteMount"
    assert body["outputs"]["checkpoints"]["uri"].endswith("/workspaceblobstore/paths/lightning-azureml/${{name}}")
    assert body["queueSettings"]["jobTier"] == "Spot"
    assert "computeId" not in body


def test_a_resumed_run_continues_from_the_outputs_of_the_run_before(tmp_path: Path) -> None:
    before = command_job(
        job_of("--nodes 2 --launcher mpi --dataset cifar10:june --num_epochs 3 --environment mine:7"), "one"
    )

    outputs = DatastorePath("workspaceartifactstore", "ExperimentRun/dcid.one/outputs", "mount")
    job = resumed_job(before, tmp_path, outputs, ["--num_epochs", "5"])
    body = as_sent(command_job(job))

    folder = f"azureml://datastores/{outputs.datastore}/paths/{outputs.path}"
    assert body["inputs"]["resume"] == {"jobInputType": "uri_folder", "mode": "ReadOnlyMount", "uri": folder}
    assert body["inputs"]["data"]["uri"] == "cifar10:june"
    assert body["command"].endswith("--num_epochs 5 --resume ${{inputs.resume}}")
    assert (job.nodes, job.launcher, body["environmentId"]) == (2, "mpi", "mine:7")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--low_priority", "--low_priority: is only for --compute serverless"),
        ("--vm_size Standard_NC4as_T4_v3", "is only for --compute serverless; --compute 'gpu-cluster' has a size"),
        ("--compute serverless --vm_size Standard_NC6", "Azure has retired this size; take 'Standard_NC4as_T4_v3'"),
        ("--compute serverless --vm_size T4", "--vm_size 'T4': expected the name of a size"),
        ("--model.weights ${{inputs.other}}", "Azure ML would replace what begins with '${{'"),
        ("--env A=${{name}}", "--env A: Azure ML would replace what begins with '${{'"),
        ("--dataset azureml://datastore/a/paths/b", "expected azureml://datastores/NAME/paths/FOLDER"),
        ("--dataset azureml://jobs/a/outputs/b", "expected azureml://datastores/NAME/paths/FOLDER"),
        ("--environment mine@newest", "--environment 'mine@newest': expected NAME, NAME:VERSION, or azureml://regis"),
        ("--environment azureml://registries/azureml/acpt", "labels/latest for one of Azure ML"),
        ("--ssh_key pyproject.toml", "--ssh_key 'pyproject.toml': isn't a public key"),
        ("--tag team", "--tag 'team': expected NAME=VALUE"),
    ],
)
def test_mistakes_that_only_v2_knows_are_one_line(flags: str, message: str) -> None:
    with pytest.raises(SubmitError) as error:
        report_findings(job_findings(job_of(flags)))

    assert message in str(error.value)
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("flag", ["--compute serverless", "--tensorboard", "--low_priority"])
def test_v1_refuses_what_it_has_no_place_for(flag: str) -> None:
    assert texts(SDK_V1.findings(job_of(flag)), "error") == [f"{flag}: needs SDK v2: give --sdk v2"]


@pytest.mark.parametrize("dataset", ["cifar10", "cifar10:3", "cifar10@latest", "data/cifar10"])
def test_v1_takes_versions_that_are_numbers(dataset: str) -> None:
    assert [*SDK_V1.findings(job_of(f"--dataset {dataset}"))] == []


def test_v1_refuses_a_version_that_is_no_number() -> None:
    assert texts(SDK_V1.findings(job_of("--dataset cifar10:june")), "error") == [
        "--dataset cifar10:june: versions of SDK v1 are whole numbers, such as cifar10:1; a data asset with another "
        "needs SDK v2: give --sdk v2"
    ]


def uploaded_by_azure_ai_ml(folder: Path) -> list[str]:
    from azure.ai.ml._utils._asset_utils import get_ignore_file, get_upload_files_from_folder

    return sorted(name for _, name in get_upload_files_from_folder(folder, ignore_file=get_ignore_file(folder)))


def test_the_snapshot_is_what_azure_ai_ml_uploads(project: Path) -> None:
    write(project, "old/a.txt", "old/b.py", "also/c.py", "deep/old/d.py", "x.log")
    write(project, ".amlignore", text="/.git\nold/\n!old/b.py\n*.log\n")
    (project / "link.py").symlink_to("models/cifar_net.py")
    (project / "linked").symlink_to("also")
    (project / "hidden").symlink_to("old")

    assert sorted(Snapshot.of(project, SDK.ignore_rules).files) == uploaded_by_azure_ai_ml(project)


def test_links_at_which_azure_ai_ml_fails_are_errors(project: Path) -> None:
    write(project, "also/c.py")
    write(project, ".amlignore", text="/.git\nbroken_but_ignored\nlinked\n")
    (project / "broken_but_ignored").symlink_to("nowhere")
    (project / "linked").symlink_to("also")

    (found,) = texts(check_folder(project, SDK), "error")

    assert found.startswith(
        "snapshot: 'linked' is a link to a folder, which azure-ai-ml uploads although it is ignored"
    )
    assert "linked/c.py" in uploaded_by_azure_ai_ml(project)
    (project / "also" / "above").symlink_to("..")
    found = texts(check_folder(project, SDK), "error")[0]
    assert "'also/above' is a link to a folder above it, at which azure-ai-ml fails" in found


def test_a_clean_project_has_no_findings(project: Path) -> None:
    assert check_folder(project, SDK) == []
    assert [*job_findings(job_of("--num_epochs 3"))] == []


def test_a_job_of_v2_installs_no_sdk() -> None:
    """The training sends its metrics by the job's MLflow interface."""
    content = yaml.safe_load(job_yaml(job_of("--nodes 2")))

    assert len(content["environment_variables"][JOB_KEY]) == len(KEY)
    assert content["environment_variables"][CHOICE] == "mlflow"  # also where the image has azureml-core
    assert not [word for word in content["environment"]["conda_file"]["dependencies"][-1]["pip"] if "azure" in word]


def test_the_file_of_a_sweep_is_loaded_as_the_sweep_that_is_sent(tmp_path: Path) -> None:
    from azure.ai.ml import load_job

    flags = (
        "--param learning_rate=loguniform(0.001,0.1) --param batch_size=choice(32,128) --max_runs 8 --policy bandit "
    )
    flags += f"--slack_factor 0.1 --metric val_accuracy --goal maximize --environment mine:7 --env {JOB_KEY}={KEY}"
    flags += f" --source_directory {tmp_path}"
    _, options, training = parse_command(["sweep", "--sdk", "v2", *flags.split()])
    sweep = describe_sweep(job_options(options), sweep_options(options), training)
    file = tmp_path / "sweep.yaml"

    file.write_text(sweep_yaml(sweep))

    body = sweep_job(sweep)._to_rest_object().as_dict()["properties"]
    assert load_job(file)._to_rest_object().as_dict()["properties"] == body
    assert "--learning_rate ${{search_space.learning_rate}} " in body["trial"]["command"]
    assert body["searchSpace"]["learning_rate"] == ["loguniform", [pytest.approx(log(0.001)), pytest.approx(log(0.1))]]
    assert (body["limits"]["maxTotalTrials"], body["objective"]["goal"].lower()) == (8, "maximize")
