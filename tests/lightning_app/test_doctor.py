"""``python -m lightning_app.doctor``: its input, its report, and that it shows no secrets."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.azureml.job import REQUIRED
from lightning_app.distributed.checks import match_trainer
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import SPAWNED_BY
from lightning_app.doctor import __main__
from lightning_app.doctor.environment_file import parse_environment
from lightning_app.doctor.report import launch_shape
from tests.support.commands import ROOT, environment
from tests.support.faulty_environments import azureml
from tests.support.launch_variables import TORCHRUN_OF_FOUR
from tests.support.programs import require_mpirun

COMMAND = [sys.executable, "-m", "lightning_app.doctor"]
ENVIRONMENT_FILES = {
    "env": "RANK=1\nWORLD_SIZE=2\nMASTER_ADDR=10.0.0.4\n",
    "export -p": 'declare -x RANK="1"\ndeclare -x WORLD_SIZE="2"\ndeclare -x MASTER_ADDR="10.0.0.4"\n',
    "a script": "export RANK='1'\n  export WORLD_SIZE=2\nexport MASTER_ADDR=\"10.0.0.4\"\n",
    "YAML": 'RANK: "1"\nWORLD_SIZE: 2\nMASTER_ADDR: 10.0.0.4\n',
    "JSON": '"RANK": "1",\n"WORLD_SIZE": "2",\n"MASTER_ADDR": "10.0.0.4"\n',
    "/proc/PID/environ": "RANK=1\0WORLD_SIZE=2\0MASTER_ADDR=10.0.0.4\0",
    "Windows": "\ufeffRANK=1\r\nset WORLD_SIZE=2\r\nMASTER_ADDR = 10.0.0.4\r\n",
}
UNUSABLE = {
    "": "there is no NAME=VALUE in it; expected the output of env",
    "no variable\nat all\n": "there is no NAME=VALUE in it",
    "RANK=0\nWORLD_SIZE=2\nRANK=1\n": "RANK occurs twice, as '0' and '1'; give the environment of one process",
    f"{SPAWNED_BY}=7:2\nLOCAL_RANK=1\n": "it is of a process that Lightning has started",
}
NODE_RANK_OF_MPI = """\
OMPI_COMM_WORLD_RANK=3
OMPI_COMM_WORLD_SIZE=4
OMPI_COMM_WORLD_LOCAL_RANK=1
OMPI_COMM_WORLD_LOCAL_SIZE=2
AZ_BATCH_MASTER_NODE=10.0.0.4:6105
NODE_RANK=3
Starting training ...
"""
REPORT = """\
6 variables from standard input, 1 line skipped

Launch
  shape          MPI with one process per device
  launcher       MPI
  rank           3 of 4, local rank 1, node rank 1
  nodes          2, with 2 processes each
  rank 0         10.0.0.4:6105
What training sets
  MASTER_ADDR    10.0.0.4
  MASTER_PORT    6105
  WORLD_SIZE     4
  RANK           3
  LOCAL_RANK     1
  NODE_RANK      1
  strategy       DDP
  backend        nccl on GPUs, gloo on the CPU
  flags          --trainer.num_nodes 2 --trainer.devices 2
Azure ML
  logger         no Azure ML job: journal only
Findings
  ignored        NODE_RANK is 3, and rank 3 with 2 on each node is on node 1
                 -> set NODE_RANK to the rank divided by 2, or unset it

In order with 1 warning: training starts.
"""
SECRET = "eyJhbGciOi.never.shown"  # noqa: S105 not a real one


class Input:
    """Standard input, as bytes."""

    def __init__(self, text: str) -> None:
        self.buffer = io.BytesIO(text.encode())


@pytest.fixture
def other_launch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets variables of a launcher for this process, which the doctor must ignore when it reads a file."""
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("WORLD_SIZE", "2")
    return monkeypatch


def run_doctor(monkeypatch: pytest.MonkeyPatch, text: str, *flags: str) -> int:
    monkeypatch.setattr(sys, "stdin", Input(text))
    return __main__.main(["--environment", "-", *flags])


@pytest.mark.parametrize("text", ENVIRONMENT_FILES.values(), ids=ENVIRONMENT_FILES)
def test_environment_files_of_all_formats_are_parsed(text: str) -> None:
    file = parse_environment(text)

    assert dict(file.environment) == {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.4"}
    assert file.skipped_lines == 0


def test_lines_that_are_not_variables_are_counted() -> None:
    file = parse_environment(
        "BASH_FUNC_module%%=() {  eval `/usr/bin/modulecmd bash $*`\n}\nRANK=1\n\nTEXT=one\ntwo lines\n"
    )

    assert (dict(file.environment), file.skipped_lines) == ({"RANK": "1", "TEXT": "one"}, 3)


def test_quotes_inside_a_value_are_kept() -> None:
    file = parse_environment('declare -x A="say \\"yes\\" for \\$5"\nB=it\'s\nC={"RANK": "7"}\n')

    assert file.environment == {"A": 'say "yes" for $5', "B": "it's", "C": '{"RANK": "7"}'}


@pytest.mark.parametrize(("text", "message"), UNUSABLE.items())
def test_an_unusable_environment_file_is_refused_in_one_line(
    text: str, message: str, other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_doctor(other_launch, text)

    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert printed.err.startswith(f"error: --environment -: {message}")


def test_a_missing_file_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    status = __main__.main(["--environment", "nowhere"])

    assert status == 2
    assert capsys.readouterr().err.startswith("error: --environment nowhere: No such file or directory; give a file")


def test_data_path_is_refused_with_an_environment_file(capsys: pytest.CaptureFixture[str]) -> None:
    status = __main__.main(["--environment", "-", "--data_path", "."])

    assert status == 2
    assert "give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--num_nodes", "0"], ["--devices", "two"], ["--device", "2"]])
def test_invalid_flags_are_refused(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        __main__.main(flags)

    assert end.value.code == 2


def test_the_report(other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_doctor(other_launch, NODE_RANK_OF_MPI)

    assert (status, capsys.readouterr().out) == (0, REPORT)


def test_a_refusal_shows_the_variables(other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_doctor(other_launch, "RANK=4\nWORLD_SIZE=2\nMASTER_ADDR=10.0.0.4\n")

    out = capsys.readouterr().out
    assert status == 1
    assert "  variables      RANK=4, WORLD_SIZE=2, MASTER_ADDR=10.0.0.4\n" in out
    assert out.endswith("\n\nTraining refuses to start: 1 error.\n")
    assert "What training sets" not in out


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (azureml("mpi", 2, 2, 1), "MPI with one process per device"),
        (azureml("mpi", 2, 1, 1), "MPI with one process per node; Lightning starts the rest"),
        (azureml("pytorch", 2, 2, 1), "PyTorch configuration with one process per device"),
        (azureml("pytorch", 2, 1, 1), "PyTorch configuration with one process per node; Lightning starts the rest"),
        (TORCHRUN_OF_FOUR, "torchrun inside a job"),
        ({}, "no launcher: one process"),
    ],
)
def test_the_report_names_each_of_the_six_shapes(given: dict[str, str], shape: str) -> None:
    assert launch_shape(detect_launch(given)) == shape


def test_the_shape_depends_on_num_nodes_where_the_launcher_does_not_set_it() -> None:
    launch = detect_launch({"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.4"})

    assert launch_shape(launch) == (
        "PyTorch configuration; give --num_nodes to see whether one process per device or per node"
    )
    assert launch_shape(match_trainer(launch, 4, 2)).startswith("PyTorch configuration with one process per node")


def test_the_report_shows_the_ranks_that_lightning_will_start(
    other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "".join(f"{name}={value}\n" for name, value in azureml("mpi", 2, 1, 1).items())

    status = run_doctor(other_launch, text, "--num_nodes", "2", "--devices", "4")

    out = capsys.readouterr().out
    assert status == 0
    for row in ("WORLD_SIZE     8", "RANK           4 to 7", "LOCAL_RANK     0 to 3", "NODE_RANK      1"):
        assert f"\n  {row}\n" in out


def test_no_secret_is_shown(other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = dict.fromkeys(REQUIRED, "something") | {"AZUREML_RUN_TOKEN": SECRET, "AZURE_CLIENT_SECRET": SECRET}
    given |= {"AZUREML_RUN_TOKEN_EXPIRY": "1800000000", "WORLD_SIZE": "2"}
    text = "".join(f"{name}={value}\n" for name, value in given.items()) + f"{SECRET}\n-----{SECRET}: {SECRET}\n"

    for further in ("", "RANK=0\nMASTER_ADDR=10.0.0.4\n"):
        run_doctor(other_launch, text + further)

    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "token          valid until 2027-01-15 08:00 UTC" in printed.out


def test_the_report_names_missing_variables_of_the_run(
    other_launch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_doctor(other_launch, f"AZUREML_RUN_ID=r\nAZUREML_RUN_TOKEN={SECRET}\n")

    out = " ".join(capsys.readouterr().out.split())
    assert status == 0
    assert "logger no run: 5 of the job's variables not set" in out
    assert "ignored AZUREML_SERVICE_ENDPOINT, AZUREML_ARM_SUBSCRIPTION, " in out


def test_an_environment_file_is_checked_without_torch_and_without_this_machine() -> None:
    absent = ("torch", "pytorch_lightning", "lightning_app.doctor.machine", "lightning_app.doctor.network")
    program = (
        "import sys; from lightning_app.doctor import __main__; __main__.main(['--environment', '-']); "
        f"print([name for name in {absent} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input="RANK=0\n", capture_output=True, text=True, cwd=ROOT, env=environment()
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from lightning_app.doctor import __main__\n"
        "try: __main__.main(['--help'])\nexcept SystemExit: print([*sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert done.stdout.startswith("usage: python -m lightning_app.doctor")
    loaded = ast.literal_eval(done.stdout.splitlines()[-1])
    assert {"torch", "pytorch_lightning", "azureml"} & set(loaded) == set()


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "env.txt").write_text(NODE_RANK_OF_MPI)
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*COMMAND, "--environment", "env.txt"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )

    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_doctor_runs_on_each_rank_of_a_job(tmp_path: Path, free_port: int) -> None:
    to_own_file = ["sh", "-c", 'exec "$@" > "rank$OMPI_COMM_WORLD_RANK"', "sh"]
    command = [*require_mpirun().command(2), *to_own_file, *COMMAND, "--num_nodes", "1", "--devices", "2"]
    given = environment() | {"MASTER_PORT": str(free_port)}

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=given)

    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        report = (tmp_path / f"rank{rank}").read_text()
        assert f"rank           {rank} of 2, local rank {rank}, node rank 0\n" in report
        assert report.endswith("training starts.\n")
