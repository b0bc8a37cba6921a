"""What an environment is known to hold is compared with what the project needs, with either SDK."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from submit.environments import conda_specification
from submit.errors import PreflightError
from submit.job import BuiltEnvironment, CuratedEnvironment, DatastorePath
from submit.preflight.checks import check_job
from submit.preflight.environment_checks import check_environment, contents_of
from submit.preflight.findings import Finding
from submit.sdk import choose_sdk
from tests.submit.test_command_line import job_of
from tests.submit.test_lock_files import LOCK

REGISTRY = "azureml://registries/azureml/environments"
NEEDS = '[project]\nrequires-python = ">=3.10,<3.13"\ndependencies = ["torch>=2.4", "pytorch-lightning>=2.6"]\n'


def findings(flags: str) -> list[Finding]:
    return [*check_environment(job_of(flags))]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "lightning_app").mkdir()
    (tmp_path / "pyproject.toml").write_text(NEEDS)
    return tmp_path


@pytest.mark.parametrize("name", ["acpt-pytorch-2.8-cuda12.6", "acpt-pytorch-2.2-cuda12.1"])
def test_a_curated_environment_is_known_by_what_it_holds_and_not_by_its_name(name: str) -> None:
    (found,) = findings(f"--environment {REGISTRY}/{name}/labels/latest")

    assert found.level == "warning"
    assert found.text.startswith(
        f"--environment '{name}' has Python 3.10 and torch 2.10.0 (Azure/azureml-assets, July 2026), but its "
        "definition doesn't install pytorch-lightning, torchmetrics, jsonargparse; leave the flag out"
    )


@pytest.mark.parametrize(
    ("name", "has"),
    [
        (f"{REGISTRY}/acpt-pytorch-1.13-cuda11.7/labels/latest", "Python 3.8 (Azure/azureml-assets, July 2026), and "),
        ("AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu:7", "Python 3.8 (Azure/azureml-assets, July 2026), and "),
    ],
)
def test_a_curated_environment_with_another_python_is_refused(name: str, has: str) -> None:
    (found,) = findings(f"--environment {name}")

    assert found.level == "error"
    assert f" has {has}the project needs <3.13,>=3.10; leave the flag out" in found.text


@pytest.mark.parametrize(
    "name",
    ["mine", "mine:7", f"{REGISTRY}/acpt-pytorch-2.8-cuda12.6/versions/9", f"{REGISTRY}/sklearn-1.5/labels/latest"],
)
def test_of_an_environment_that_is_not_known_nothing_is_said(name: str) -> None:
    assert findings(f"--environment {name}") == []


def test_the_default_environment_has_what_the_project_needs() -> None:
    assert findings("") == []
    contents = contents_of(job_of("").environment)
    assert contents is not None
    assert (contents.python, contents.torch) == ("3.11", "2.8.0")


def test_a_fixed_version_gives_way_to_what_the_project_needs(project: Path) -> None:
    (project / "pyproject.toml").write_text(NEEDS.replace("torch>=2.4", "torch>=2.9"))
    job = job_of(f"--source_directory {project}")

    assert isinstance(job.environment, BuiltEnvironment)
    assert job.environment.conda == conda_specification(["torch>=2.9", "pytorch-lightning==2.6.6"])
    assert [*check_environment(job)] == []


def test_a_python_that_the_project_excludes_is_refused(project: Path) -> None:
    (project / "pyproject.toml").write_text(NEEDS.replace(">=3.10", ">=3.12"))

    (found,) = findings(f"--source_directory {project}")

    assert (found.level, found.text) == (
        "error",
        "the job's environment has Python 3.11, and the project needs <3.13,>=3.12; change what --conda_file, "
        "--pip_requirements or pyproject.toml names",
    )


@pytest.mark.parametrize(
    ("flag", "text", "torch"),
    [
        (
            "pip_requirements",
            "torch==2.3.1 \\\n    --hash=sha256:aa\npytorch-lightning==2.6.6 --hash=sha256:bb\n",
            "2.3.1",
        ),
        ("pip_requirements", "numpy\ntorch == 2.3.1+cu121\n", "2.3.1+cu121"),
        ("conda_file", "dependencies: [python=3.11, 'conda-forge::pytorch=2.3=cuda*']", "2.3"),
        ("conda_file", "dependencies: [python=3.11, pip, {pip: [torch==1.13.1]}]", "1.13.1"),
        (
            "dockerfile",
            "FROM pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime\nRUN pip install pytorch-lightning\n",
            "2.2.0",
        ),
        ("dockerfile", "FROM ubuntu:24.04\nRUN pip install 'torch==2.3.0' \\\n  torchvision\n", "2.3.0"),
        ("dockerfile", "FROM x/aifx/acpt/stable-ubuntu2204-cu118-py310-torch221:b1 AS a\nFROM a\n", "2.2.1"),
    ],
)
def test_a_torch_that_is_too_old_is_refused_wherever_it_is_fixed(
    project: Path, flag: str, text: str, torch: str
) -> None:
    file = project / "file"
    file.write_text(text)

    (found,) = findings(f"--source_directory {project} --{flag} {file}")

    assert found.level == "error"
    assert f" has torch {torch}" in found.text
    assert ", and the project needs >=2.4; " in found.text


HASHES = "--hash=sha256:aa"
WHEEL = "https://download.pytorch.org/whl/cu118/torch-2.0.1%2Bcu118-cp311-cp311-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("text", "has", "needs"),
    [
        ("torch<2.4\n", "torch <2.4", ">=2.4"),
        ("torch~=2.1.0\n", "torch ~=2.1.0", ">=2.4"),
        ("torch>=2.0,<2.3 ; python_version > '3'\n", "torch <2.3,>=2.0", ">=2.4"),
        (f"torch @ {WHEEL}\n", "torch 2.0.1+cu118", ">=2.4"),
        (
            f"torch==2.0.1 {HASHES}\npytorch_lightning==2.1.0 {HASHES}\n",
            "torch 2.0.1 and pytorch-lightning 2.1.0",
            "torch>=2.4 and pytorch-lightning>=2.6",
        ),
        ("torch\npytorch-lightning==2.*\npytorch-lightning<2\n", "pytorch-lightning <2", ">=2.6"),
    ],
)
def test_requirements_that_leave_no_version_that_the_project_needs_are_one_line(
    project: Path, text: str, has: str, needs: str
) -> None:
    file = project / "requirements.txt"
    file.write_text(text)

    (found,) = findings(f"--source_directory {project} --pip_requirements {file}")

    assert (found.level, found.text) == (
        "error",
        f"the job's environment has {has}, and the project needs {needs}; change what --conda_file, "
        "--pip_requirements or pyproject.toml names",
    )


def test_a_lock_of_uv_with_an_old_package_is_one_line(project: Path) -> None:
    needs = NEEDS.replace("torch>=2.4", "tqdm>=99").replace("pytorch-lightning>=2.6", "PyYAML>=6")
    (project / "pyproject.toml").write_text(needs)

    (found,) = findings(f"--source_directory {project} --pip_requirements {LOCK}")

    assert re.match(r"the job's environment has tqdm 4\.[\d.]+, and the project needs >=99; change what", found.text)


@pytest.mark.parametrize("environment", [BuiltEnvironment("lightning-azureml", conda="{}"), CuratedEnvironment("mine")])
def test_the_environment_of_a_resumed_run_is_compared_with_what_the_project_needs_now(
    project: Path, environment: BuiltEnvironment | CuratedEnvironment
) -> None:
    """SDK v1 has recorded it, and SDK v2 has kept it in the workspace under a name."""
    held = BuiltEnvironment("mine", conda=conda_specification(["torch==2.2.0", "pytorch-lightning==2.6.6"]))
    given = replace(environment, conda=held.conda) if isinstance(environment, BuiltEnvironment) else environment
    job = replace(job_of(f"--source_directory {project}"), environment=given, resume=DatastorePath(None, "a", "mount"))

    (found,) = check_environment(job, held)

    assert (found.level, found.text) == (
        "error",
        "the environment of the run that is resumed has torch 2.2.0, and the project needs >=2.4; python -m submit run "
        "--resume RUN, with the flags of that run, continues it in another environment",
    )
    (project / "pyproject.toml").write_text(NEEDS.replace("torch>=2.4", "torch>=2.1"))
    assert [*check_environment(job, held)] == []


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("pip_requirements", "torch>=2.0\n"),
        ("pip_requirements", "torch>2.3,<=2.4\n"),
        ("pip_requirements", "torch!=2.4.0\n"),
        ("pip_requirements", "torch @ git+https://github.com/pytorch/pytorch@v2.0\n"),
        ("pip_requirements", "--extra-index-url https://download.pytorch.org/whl/cu118\ntorch==a.b\n"),
        ("conda_file", "dependencies: [python=3.11, pytorch, pytorch=2]"),
        ("conda_file", "dependencies: [python=3.11, pip, {pip: [torchvision==0.2, torch-tb-profiler==0.4]}]"),
        ("dockerfile", "FROM pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime\nRUN pip install -U torch\n"),
        ("dockerfile", "FROM pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime\nRUN pip install -r requirements.txt\n"),
        ("dockerfile", "FROM python:3.9\nRUN conda create -n a python=3.11\n"),
        ("dockerfile", "ARG BASE\nFROM $BASE\n"),
        ("dockerfile", "FROM python:3.9 AS build\nFROM ubuntu:24.04\nCOPY --from=build /a /a\n"),
        ("dockerfile", "FROM mcr.microsoft.com/azureml/curated/acpt-pytorch-2.2-cuda12.1:54\n"),
        ("dockerfile", "# FROM python:3.8\n"),
    ],
)
def test_what_may_be_new_enough_is_not_refused(project: Path, flag: str, text: str) -> None:
    file = project / "file"
    file.write_text(text)

    assert findings(f"--source_directory {project} --{flag} {file}") == []


def test_a_lock_without_what_the_project_needs_is_refused(project: Path) -> None:
    found = findings(f"--source_directory {project} --pip_requirements {LOCK}")

    assert [(finding.level, finding.text) for finding in found] == [
        (
            "error",
            "--pip_requirements: is a lock without 'torch', 'pytorch-lightning', which the project needs; lock again, "
            "such as by uv lock",
        )
    ]
    needs = NEEDS.replace("torch>=2.4", "tqdm").replace("pytorch-lightning>=2.6", "PyYAML>=6")
    (project / "pyproject.toml").write_text(needs)
    assert findings(f"--source_directory {project} --pip_requirements {LOCK}") == []


def test_an_image_is_known_by_a_name_that_says_it(project: Path) -> None:
    (found,) = findings(f"--source_directory {project} --docker_image python:3.9-slim")

    assert found.text.startswith(
        "--docker_image 'python:3.9-slim' has Python 3.9 (its name), and the project needs <3.1"
    )
    assert findings(f"--source_directory {project} --docker_image me/python:3.9") == []


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_preflight_of_both_sdks_refuses_such_an_environment(project: Path, sdk: str) -> None:
    job = job_of(f"--source_directory {project} --environment AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu --dataset x")

    with pytest.raises(PreflightError) as error:
        check_job(job, choose_sdk(sdk), ())  # type: ignore[arg-type]  # mypy sees a string

    about = [reason for reason in error.value.reasons if reason.startswith("--environment")]
    assert len(about) == 1
    assert "-py38-cuda11.7-gpu' has Python 3.8 (Azure/azureml-assets, July 2026), and the project needs" in about[0]
