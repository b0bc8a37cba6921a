"""Deployments before anything is sent: their files, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from azure.ai.ml import load_online_deployment, load_online_endpoint

from lightning_app.export.files import write_checksums
from submit.deployment.scoring_code import scoring_files
from submit.deployment.traffic import new_traffic
from submit.emulator import AzureMLEmulator
from submit.errors import SubmitError
from tests.support.commands import environment, without_comments
from tests.support.exports import make_export
from tests.support.submit_in_process import InProcess

REQUIRED = ["torch==2.8.0", "torchvision==0.23.0", "onnxruntime==1.22.0"]
DEPLOY = ("deploy", "--endpoint", "pictures")
IMPORTS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import score
ours = [name for name in sys.modules if name.partition(".")[0] in ("lightning_app", "datamodules")]
print(score.__file__, *sorted(ours))
"""
ABSENT = (
    *("pytorch_lightning", "lightning_fabric", "torchmetrics", "matplotlib", "jsonargparse", "tensorboard"),
    *("starlette", "uvicorn", "models", "submit"),
)


@pytest.fixture
def user(service: AzureMLEmulator, tmp_path: Path) -> InProcess:
    make_export(tmp_path / "run" / "export")
    return InProcess(service, tmp_path)


def test_the_files_of_a_dry_run_are_what_azure_ai_ml_reads(user: InProcess) -> None:
    flags = ("--deployment", "green", "--instance_type", "Standard_F4s_v2", "--instance_count", "3")

    outcome = user.submit(*DEPLOY, "run", *flags, "--dry_run", "--output", "files")

    assert (outcome.status, outcome.err) == (0, "")
    written = [(user.folder / "files" / name).read_text() for name in ("endpoint.yml", "deployment.yml")]
    assert list(yaml.safe_load_all(outcome.out)) == [yaml.safe_load(text) for text in written]
    chosen, cost = outcome.out.splitlines()[:2]
    assert chosen.startswith("# Azure ML SDK v2 (azure-ai-ml ")
    assert cost.startswith("# cost: not known: the price list (")
    assert cost.endswith(" has no Standard_F4s_v2; give --prices FILE")
    endpoint = load_online_endpoint(user.folder / "files" / "endpoint.yml")
    deployment = load_online_deployment(user.folder / "files" / "deployment.yml")
    assert (endpoint.name, endpoint.auth_mode, endpoint.traffic) == ("pictures", "key", {})
    assert (deployment.name, deployment.endpoint_name, deployment.type) == ("green", "pictures", "Managed")
    assert (deployment.instance_type, deployment.instance_count) == ("Standard_F4s_v2", 3)
    assert (deployment.model.type, Path(deployment.model.path)) == ("custom_model", user.folder / "run" / "export")
    code = Path(deployment.base_path, deployment.code_configuration.code)
    assert deployment.code_configuration.scoring_script == "score.py"
    files = {path.relative_to(code).as_posix(): path.read_bytes() for path in code.rglob("*") if path.is_file()}
    assert files == scoring_files()
    assert deployment.environment.image == "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
    python, pip, packages = deployment.environment.conda_file["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert packages["pip"][:2] == [
        "--extra-index-url https://download.pytorch.org/whl/cpu",
        "azureml-inference-server-http>=1.4",
    ]
    assert packages["pip"][2:5] == REQUIRED
    assert (user.service.requests, user.service.unknown) == ([], [])


def test_a_model_and_an_environment_of_the_workspace_are_named(user: InProcess) -> None:
    outcome = user.submit(*DEPLOY, "azureml:birds:3", "--environment", "serving:2", "--dry_run")

    content = list(yaml.safe_load_all(without_comments(outcome.out)))[1]
    assert (outcome.status, content["model"], content["environment"]) == (0, "azureml:birds:3", "azureml:serving:2")


def test_the_scoring_code_needs_nothing_else_of_the_project_and_no_lightning(tmp_path: Path) -> None:
    for name, content in scoring_files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    variables = {name: value for name, value in environment().items() if name != "PYTHONPATH"}

    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(absent=ABSENT)],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    script, *loaded = done.stdout.split()
    files = {name.removesuffix(".py").removesuffix("/__init__") for name in scoring_files() if name != "score.py"}
    assert script == str(tmp_path / "score.py")
    assert {name.replace(".", "/") for name in loaded} == files


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("nowhere",), "'nowhere': no such folder; expected the folder that python -m lightning_app export RUN writes"),
        (
            ("runs/a",),
            "'runs/a': no such folder; expected the folder that python -m lightning_app export RUN writes, "
            "that run's folder, or azureml:NAME:VERSION\n",
        ),
        (
            ("lightning-azureml_1_ab",),
            "'lightning-azureml_1_ab': no such folder; expected the folder that python -m lightning_app export RUN "
            "writes, that run's folder, or azureml:NAME:VERSION; a run of the workspace is first fetched and exported: "
            "python -m submit download lightning-azureml_1_ab --target here, and python -m lightning_app export here/",
        ),
        ((".",), "'.': is no exported model; expected"),
        (("run", "--endpoint", "1st"), "--endpoint '1st': expected 3 to 32 letters, digits and hyphens, beginning"),
        (("run", "--endpoint", "ab"), "--endpoint 'ab': expected 3 to 32"),
        (("run", "--endpoint", "a" * 33), f"--endpoint '{'a' * 33}': expected 3 to 32"),
        (("run", "--endpoint", "pictures-"), "--endpoint 'pictures-': expected 3 to 32"),
        (("run", "--deployment", "my_one"), "--deployment 'my_one': expected 3 to 32"),
        (("run", "--traffic", "101"), "argument --traffic: '101' given; expected a whole number from 0 to 100"),
        (("run", "--traffic", "-1"), "argument --traffic: "),
        (("run", "--instance_count", "0"), "argument --instance_count: '0' given; expected a whole number of at least"),
        (("run", "--instance_type", "large"), "--instance_type 'large': expected the name of a size"),
        (("run", "--instance_type", "Standard_NC6"), "--instance_type 'Standard_NC6': Azure has retired this size"),
        (("run", "--environment", "a b"), "--environment 'a b': expected NAME"),
        (("run", "--prices", "no.yaml"), "--prices 'no.yaml': can't be read ("),
        (("run", "--output", "x"), "--output 'x': is for the files of --dry_run; give both, or neither"),
        (("run", "--dry_run", "--output", "run"), "'run/code': can't be"),
        (("run", "--rehearse", "no.jpg"), "--rehearse 'no.jpg': can't be read (No such file or directory)"),
        (("run", "--rehearse", "run/code"), "--rehearse: "),
        (("azureml:a:1", "--rehearse", "run/code"), "--rehearse: needs the folder of an exported model"),
        (("run", "--sdk", "v1"), "an online endpoint needs SDK v2: give --sdk v2"),
        (("run", "--num_epochs", "3"), "--num_epochs: deploy has no such flag"),
    ],
)
def test_what_is_refused_is_one_line(user: InProcess, flags: tuple[str, ...], message: str) -> None:
    (user.folder / "run" / "code").write_text("a file")

    outcome = user.submit(*DEPLOY, *flags)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert outcome.err.startswith(f"error: {message}"), outcome.err
    assert (user.service.requests, user.service.unknown) == ([], [])


def test_an_exported_model_that_is_changed_or_takes_no_pictures_is_refused(user: InProcess) -> None:
    def refused(folder: Path) -> str:
        outcome = user.submit(*DEPLOY, str(folder))
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
        return outcome.err

    changed, incomplete, missing, unreadable = (make_export(user.folder / name) for name in "abcd")
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"!")
    lines = (incomplete / "SHA256SUMS").read_text().splitlines(keepends=True)
    (incomplete / "SHA256SUMS").write_text(lines[0])
    (missing / "model.onnx").unlink()
    (unreadable / "model.json").write_text("[]")
    write_checksums(unreadable)

    assert "model.onnx isn't the file that was exported; export again" in refused(changed)
    assert "SHA256SUMS doesn't name model.onnx; export again" in refused(incomplete)
    assert "model.onnx is missing; export again" in refused(missing)
    assert "model.json isn't what export writes; export again" in refused(unreadable)
    assert "doesn't say how a picture becomes its input" in refused(make_export(user.folder / "e", preprocessing=None))


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("Standard_DS2_v2", "warning: --instance_type 'Standard_DS2_v2': may be too small; Azure recommends"),
        ("Standard_NC4as_T4_v3", "note: --instance_type 'Standard_NC4as_T4_v3': has a GPU, which the scoring code"),
    ],
)
def test_a_size_that_is_too_small_or_costs_too_much_is_a_line(user: InProcess, size: str, line: str) -> None:
    outcome = user.submit(*DEPLOY, "run", "--instance_type", size, "--dry_run")

    assert (outcome.status, outcome.err.count("\n")) == (0, 1)
    assert outcome.err.startswith(line)


@pytest.mark.parametrize(
    ("now", "share", "expected"),
    [
        ({}, None, {"new": 100}),
        ({}, 0, {"new": 0}),
        ({"old": 0}, None, {"new": 100}),
        ({"old": 100}, None, {"new": 0, "old": 100}),
        ({"old": 90, "new": 10}, None, {"new": 10, "old": 90}),
        ({"old": 100}, 10, {"new": 10, "old": 90}),
        ({"old": 100, "new": 0}, 100, {"new": 100, "old": 0}),
        ({"a": 50, "b": 50}, 25, {"new": 25, "a": 38, "b": 37}),
        ({"a": 33, "b": 33, "c": 34}, 1, {"new": 1, "a": 33, "b": 33, "c": 33}),
    ],
)
def test_the_other_deployments_keep_the_rest(now: dict[str, int], share: int | None, expected: dict[str, int]) -> None:
    assert new_traffic(now, "new", share) == expected
    assert sum(expected.values()) in (0, 100)


def test_a_rest_that_nobody_takes_is_refused() -> None:
    with pytest.raises(SubmitError, match=r"--traffic 50: no other deployment .* the other 50 %; expected 100, or 0"):
        new_traffic({"old": 0}, "new", 50)
