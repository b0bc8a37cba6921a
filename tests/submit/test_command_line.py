"""From the command line to the request, without a network."""

import difflib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from submit.commands.flags import job_options
from submit.describe import describe_job
from submit.errors import SubmitError
from submit.job import BuiltEnvironment, CuratedEnvironment, DatastorePath, Job, RegisteredDataset
from submit.main import parse_command
from submit.v1.job import build_request
from tests.support.commands import ROOT, environment, without_comments

RECORD = Path(__file__).parents[1] / "support" / "records" / "typical_job.yaml"
TYPICAL = (
    "--compute gpu-cluster --nodes 2 --processes_per_node 4 --dataset cifar10 --experiment cifar --max_duration 12h "
    "--env NCCL_DEBUG=INFO --num_epochs 30 --batch_size 128 --learning_rate 0.03"
)


def job_of(flags: str, command: str = "run") -> Job:
    _, options, training = parse_command([command, *flags.split()])
    return describe_job(job_options(options), training)


def submit(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-m", "submit", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment() | nowhere | variables,
    )


def test_the_typical_job_is_the_recorded_one() -> None:
    """Delete the record where a change is meant: the test writes it anew, and fails once."""
    outcome = submit("run", "--dry_run", *TYPICAL.split())
    assert (outcome.returncode, outcome.stderr) == (0, "")
    request = without_comments(outcome.stdout)
    if not RECORD.exists():
        RECORD.write_text(request)
        pytest.fail(f"{RECORD} is new; look at it, and commit it")

    recorded = RECORD.read_text().splitlines()

    difference = "\n".join(difflib.unified_diff(recorded, request.splitlines(), "recorded", "now", lineterm=""))
    assert not difference, f"\n{difference}\nDelete {RECORD} if this is meant."


def test_what_submit_does_not_know_goes_to_the_training() -> None:
    job = job_of("--nodes 2 --model ResNetTransfer --num_epochs 3 -- --compute 5")

    assert job.command == (
        *("python", "-m", "lightning_app.fit", "--model", "ResNetTransfer", "--num_epochs", "3", "--compute", "5"),
        *("--trainer.num_nodes=2", "--trainer.devices=1"),
    )


@pytest.mark.parametrize(("nodes", "processes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_pytorch_counts_all_processes_and_mpi_those_of_a_node(nodes: int, processes: int) -> None:
    place = f"--nodes {nodes} --processes_per_node {processes}"

    pytorch = build_request(job_of(f"{place} --launcher pytorch"))["Configuration"]
    mpi = build_request(job_of(f"{place} --launcher mpi"))["Configuration"]

    assert (pytorch["framework"], pytorch["communicator"], pytorch["nodeCount"]) == ("PyTorch", "nccl", nodes)
    assert pytorch["pytorch"] == {
        "communicationBackend": "nccl",
        "processCount": nodes * processes,
        "nodeCount": nodes,
    }
    assert (mpi["framework"], mpi["communicator"], mpi["nodeCount"]) == ("Python", "IntelMpi", nodes)
    assert mpi["mpi"] == {"processCountPerNode": processes, "nodeCount": nodes}


@pytest.mark.parametrize(
    ("flags", "data", "word"),
    [
        ("--dataset cifar10", RegisteredDataset("cifar10", "latest", "mount"), "DatasetConsumptionConfig:data"),
        ("--dataset cifar10:3", RegisteredDataset("cifar10", "3", "mount"), "DatasetConsumptionConfig:data"),
        (
            "--dataset data/cifar10/ --download_dataset",
            DatastorePath(None, "data/cifar10", "download"),
            "$AZUREML_DATAREFERENCE_data",
        ),
        (
            "--dataset azureml://datastores/photos/paths/birds/",
            DatastorePath("photos", "birds", "mount"),
            "$AZUREML_DATAREFERENCE_data",
        ),
    ],
)
def test_a_dataset_becomes_the_data_path_of_the_training(flags: str, data: object, word: str) -> None:
    job = job_of(flags)

    configuration = build_request(job)["Configuration"]

    assert job.data == data
    assert f"--data_path {word} " in configuration["command"]
    inputs = configuration["data"] | configuration["dataReferences"]
    assert list(inputs) == ["data"]
    assert job.data is not None
    assert job.data.access in inputs["data"].values()


def test_words_of_the_command_are_quoted(tmp_path: Path) -> None:
    _, options, training = parse_command(["run", "--model.weights", "a b; rm -rf $HOME.pth"])

    command = build_request(describe_job(job_options(options), training))["Configuration"]["command"]

    assert "--model.weights 'a b; rm -rf $HOME.pth'" in command


def environment_section(flags: str) -> dict[str, Any]:
    found: dict[str, Any] = build_request(job_of(flags))["Configuration"]["environment"]
    return found


def test_every_way_to_an_environment_names_its_python(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch>=2.4  # large\n\n# nothing\npytorch-lightning\n")
    conda = tmp_path / "conda.yaml"
    conda.write_text("dependencies: [python=3.12, pip]\n")

    by_default = environment_section("")["python"]["condaDependencies"]["dependencies"]
    by_pip = environment_section(f"--pip_requirements {requirements} --docker_image me/image:1")
    by_conda = environment_section(f"--conda_file {conda}")

    assert by_default[0] == "python=3.11"
    assert set(by_default[-1]["pip"]) > {"torch==2.8.0", "torchvision==0.23.0", "pytorch-lightning==2.6.6"}
    assert by_pip["python"]["condaDependencies"]["dependencies"] == [
        "python=3.11",
        "pip",
        {"pip": ["torch>=2.4", "pytorch-lightning"]},
    ]
    assert by_pip["docker"]["baseImage"] == "me/image:1"
    assert by_conda["python"]["condaDependencies"]["dependencies"] == ["python=3.12", "pip"]
    assert "3.8.13" not in str((by_default, by_pip, by_conda))


def test_a_lock_file_is_an_environment_with_its_hashes(tmp_path: Path) -> None:
    """As pip-compile and uv write it, a line for each hash."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("torch==2.8.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via me\nnumpy==2.0  # why\n")

    environment = job_of(f"--pip_requirements {lock}").environment

    assert isinstance(environment, BuiltEnvironment)
    pip = yaml.safe_load(environment.conda or "")["dependencies"][-1]["pip"]
    assert pip == ["torch==2.8.0 --hash=sha256:aa --hash=sha256:bb", "numpy==2.0"]
    with pytest.raises(SubmitError, match=r"has hashes, but not lightning-azureml, which pip then refuses"):
        job_of(f"--pip_requirements {lock} --source_directory {tmp_path}")


def test_an_image_alone_holds_everything(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM python:3.11\nRUN pip install torch\n")

    image, built = environment_section("--docker_image me/image:1"), environment_section(f"--dockerfile {dockerfile}")

    assert (image["docker"]["baseImage"], image["python"]["userManagedDependencies"]) == ("me/image:1", True)
    assert (built["docker"]["baseImage"], built["docker"]["baseDockerfile"]) == (None, dockerfile.read_text())
    assert job_of("--environment AzureML-ACPT:7").environment == CuratedEnvironment("AzureML-ACPT", "7")
    assert isinstance(job_of("").environment, BuiltEnvironment)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--nodes 0", "--nodes: '0' given; expected a whole number of at least 1"),
        ("--processes_per_node -2", "--processes_per_node: '-2' given; expected a whole number"),
        ("--launcher horovod", "--launcher: invalid choice: 'horovod'"),
        ("--max_duration 5", "'5' given; expected a number with its unit, such as 90m, 12h or 2d"),
        ("--dataset /mnt/cifar", "expected a folder of the datastore, such as data/cifar10"),
        ("--dataset azureml://datastores/a", "expected azureml://datastores/NAME/paths/FOLDER"),
        ("--dataset cifar10:a+b", "expected NAME, NAME:VERSION, NAME@latest, or a folder"),
        ("--dataset cifar10@newest", "expected NAME, NAME:VERSION, NAME@latest, or a folder"),
        ("--data_path data", "--data_path: names a folder of this machine, which the job doesn't have; give --dataset"),
        ("--dataset a --data_path b", "--data_path: --dataset sets it for the launcher and for the training"),
        (
            "--trainer.devices 2",
            "--trainer.devices: --processes_per_node sets it for the launcher and for the training",
        ),
        ("--trainer.num_nodes=2", "--trainer.num_nodes: --nodes sets it for the launcher and for the training"),
        ("--env A", "--env 'A': expected NAME=VALUE"),
        ("--conda_file no.yaml", "--conda_file 'no.yaml': can't be read"),
        ("--environment a --conda_file b", "--environment and --conda_file each define the environment"),
        ("--environment a --docker_image b", "--environment and --docker_image each define the environment"),
    ],
)
def test_impossible_options_are_reported(flags: str, message: str) -> None:
    with pytest.raises(SubmitError) as error:
        job_of(flags)

    assert message in str(error.value)


def test_mistakes_are_one_line_and_status_2() -> None:
    outcome = submit("run", "--nodes", "none")

    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == "error: argument --nodes: 'none' given; expected a whole number of at least 1\n"


def test_a_dry_run_loads_neither_torch_nor_lightning() -> None:
    program = (
        "import sys; from submit.main import main; main(['run', '--dry_run']); "
        "heavy = ('torch', 'pytorch_lightning', 'lightning_app.command_line.cli'); "
        "print([name for name in heavy if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]")
    assert yaml.safe_load("\n".join(done.stdout.splitlines()[:-1]))["experiment"] == "lightning-azureml"
