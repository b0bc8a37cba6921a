"""``python -m lightning_app.doctor``: what it reads, what it says, and that it keeps secrets."""

import io
import os
import subprocess
import sys
import time
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
from tests.support.contradictory_environments import azureml
from tests.support.launch_variables import TORCHRUN_OF_FOUR
from tests.support.programs import require_program

COMMAND = [sys.executable, "-m", "lightning_app.doctor"]
DUMPS = {
    "env": "RANK=1\nWORLD_SIZE=2\nMASTER_ADDR=10.0.0.4\n",
    "export -p": 'declare -x RANK="1"\ndeclare -x WORLD_SIZE="2"\ndeclare -x MASTER_ADDR="10.0.0.4"\n',
    "a script": "export RANK='1'\n  export WORLD_SIZE=2\nexport MASTER_ADDR=\"10.0.0.4\"\n",
    "YAML": 'RANK: "1"\nWORLD_SIZE: 2\nMASTER_ADDR: 10.0.0.4\n',
    "JSON": '"RANK": "1",\n"WORLD_SIZE": "2",\n"MASTER_ADDR": "10.0.0.4"\n',
    "/proc/PID/environ": "RANK=1\0WORLD_SIZE=2\0MASTER_ADDR=10.0.0.4\0",
    "Windows": "\ufeffRANK=1\r\nset WORLD_SIZE=2\r\nMASTER_ADDR = 10.0.0.4\r\n",
}
MISUSE = {
    "": "there is no NAME=VALUE in it; expected what env prints",
    "no variable\nat all\n": "there is no NAME=VALUE in it",
    "RANK=0\nWORLD_SIZE=2\nRANK=1\n": "RANK is in it twice, '0' and '1'; give the environment of one process",
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
ITS_REPORT = """\
6 variables of standard input, 1 line not understood

Launch
  shape          MPI with a process per device
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
  logger         no Azure ML job: the journal alone
Contradictions
  ignored        NODE_RANK is 3, and rank 3 with 2 on each node is on node 1
                 -> set NODE_RANK to the rank divided by 2, or unset it

In order in spite of 1 stray: training starts.
"""
SECRET = "eyJhbGciOi.never.shown"  # noqa: S105 nobody's


class Input:
    """Standard input, as bytes."""

    def __init__(self, text: str) -> None:
        self.buffer = io.BytesIO(text.encode())


@pytest.fixture
def pasted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Where the doctor is asked about a dump, the launcher of this process has nothing to do with it."""
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("WORLD_SIZE", "2")
    return monkeypatch


def ask(monkeypatch: pytest.MonkeyPatch, text: str, *flags: str) -> int:
    monkeypatch.setattr(sys, "stdin", Input(text))
    return __main__.main(["--environment", "-", *flags])


@pytest.mark.parametrize("text", DUMPS.values(), ids=DUMPS)
def test_a_dump_is_read_in_every_form_in_which_people_paste_it(text: str) -> None:
    dump = parse_environment(text)

    assert (dict(dump.environment), dump.lost_lines) == (
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.4"},
        0,
    )


def test_lines_that_are_no_variables_are_counted() -> None:
    dump = parse_environment(
        "BASH_FUNC_module%%=() {  eval `/usr/bin/modulecmd bash $*`\n}\nRANK=1\n\nTEXT=one\ntwo lines\n"
    )

    assert (dict(dump.environment), dump.lost_lines) == ({"RANK": "1", "TEXT": "one"}, 3)


def test_quotes_inside_a_value_stay() -> None:
    dump = parse_environment('declare -x A="say \\"yes\\" for \\$5"\nB=it\'s\nC={"RANK": "7"}\n')

    assert dump.environment == {"A": 'say "yes" for $5', "B": "it's", "C": '{"RANK": "7"}'}


@pytest.mark.parametrize(("text", "message"), MISUSE.items())
def test_what_is_no_dump_of_one_process_is_told_in_one_line(
    text: str, message: str, pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = ask(pasted, text)

    told = capsys.readouterr()
    assert (status, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(f"error: --environment -: {message}")


def test_a_file_that_is_not_there_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--environment", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("error: --environment nowhere: No such file or directory; give a file")


def test_data_is_not_looked_at_for_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--environment", "-", "--data_path", "."]) == 2
    assert "give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--num_nodes", "0"], ["--devices", "two"], ["--device", "2"]])
def test_flags_that_can_not_be_are_refused(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        __main__.main(flags)

    assert end.value.code == 2


def test_the_report(pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status = ask(pasted, NODE_RANK_OF_MPI)

    assert (status, capsys.readouterr().out) == (0, ITS_REPORT)


def test_a_refusal_shows_what_was_found(pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status = ask(pasted, "RANK=4\nWORLD_SIZE=2\nMASTER_ADDR=10.0.0.4\n")

    out = capsys.readouterr().out
    assert status == 1
    assert "  found          RANK=4, WORLD_SIZE=2, MASTER_ADDR=10.0.0.4\n" in out
    assert out.endswith("\n\nTraining refuses to start: 1 contradiction.\n")
    assert "What training sets" not in out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (azureml("mpi", 2, 2, 1), "MPI with a process per device"),
        (azureml("mpi", 2, 1, 1), "MPI with one process per node; Lightning starts the rest"),
        (azureml("pytorch", 2, 2, 1), "PyTorch configuration with a process per device"),
        (azureml("pytorch", 2, 1, 1), "PyTorch configuration with one process per node; Lightning starts the rest"),
        (TORCHRUN_OF_FOUR, "torchrun inside a job"),
        ({}, "none: started alone"),
    ],
)
def test_each_of_the_six_shapes_has_its_name(given: dict[str, str], words: str) -> None:
    assert launch_shape(detect_launch(given)) == words


def test_the_number_of_nodes_may_be_open() -> None:
    launch = detect_launch({"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.4"})

    assert launch_shape(launch) == "PyTorch configuration; --num_nodes tells whether a process per device or per node"
    assert launch_shape(match_trainer(launch, 4, 2)).startswith("PyTorch configuration with one process per node")


def test_the_ranks_that_lightning_will_start_are_told(
    pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "".join(f"{name}={value}\n" for name, value in azureml("mpi", 2, 1, 1).items())

    assert ask(pasted, text, "--num_nodes", "2", "--devices", "4") == 0

    out = capsys.readouterr().out
    for row in ("WORLD_SIZE     8", "RANK           4 to 7", "LOCAL_RANK     0 to 3", "NODE_RANK      1"):
        assert f"\n  {row}\n" in out


def test_no_secret_is_shown(pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = dict.fromkeys(REQUIRED, "something") | {"AZUREML_RUN_TOKEN": SECRET, "AZURE_CLIENT_SECRET": SECRET}
    given |= {"AZUREML_RUN_TOKEN_EXPIRY": "1800000000", "WORLD_SIZE": "2"}
    text = "".join(f"{name}={value}\n" for name, value in given.items()) + f"{SECRET}\n-----{SECRET}: {SECRET}\n"

    for further in ("", "RANK=0\nMASTER_ADDR=10.0.0.4\n"):
        ask(pasted, text + further)

    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "its token      valid until 2027-01-15 08:00 UTC" in said.out


def test_missing_variables_of_the_run_are_named(pasted: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(pasted, f"AZUREML_RUN_ID=r\nAZUREML_RUN_TOKEN={SECRET}\n") == 0

    out = " ".join(capsys.readouterr().out.split())
    assert "logger no run: 5 of the job's variables not set" in out
    assert "ignored AZUREML_SERVICE_ENDPOINT, AZUREML_ARM_SUBSCRIPTION, " in out


def test_a_dump_is_judged_without_torch_and_without_this_machine() -> None:
    program = (
        "import sys; from lightning_app import doctor; doctor.main(['--environment', '-']); "
        "print([name for name in sys.modules if name in "
        "('torch', 'pytorch_lightning', 'socket', 'lightning_app.doctor.machine', 'lightning_app.doctor.machine')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input="RANK=0\n", capture_output=True, text=True, cwd=ROOT, env=environment()
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_there_at_once() -> None:
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([*COMMAND, "--help"], check=True, capture_output=True, cwd=ROOT, env=environment())
        seconds.append(time.monotonic() - started)

    assert min(seconds) < 0.3


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text(NODE_RANK_OF_MPI)
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*COMMAND, "--environment", "dump"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )

    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_on_each_rank_of_a_job(tmp_path: Path) -> None:
    mpirun = [require_program("mpirun", "openmpi-bin"), "--allow-run-as-root", "--oversubscribe", "-n", "2"]

    done = subprocess.run(
        [*mpirun, "--output-filename", str(tmp_path / "out"), *COMMAND, "--num_nodes", "1", "--devices", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=environment(),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        (file,) = (tmp_path / "out").glob(f"*/rank.{rank}/stdout")
        assert f"rank           {rank} of 2, local rank {rank}, node rank 0\n" in file.read_text()
        assert file.read_text().endswith("training starts.\n")
