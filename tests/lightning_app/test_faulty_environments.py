"""The doctor's findings in faulty environments, and what real trainings do in them: none hangs."""

import os
from pathlib import Path

import pytest

from lightning_app.doctor import __main__
from lightning_app.doctor.findings import diagnose
from tests.support.faulty_environments import CASES, PORT, Case
from tests.support.faulty_trainings import fill_in, install_mpi4py, train
from tests.support.images import make_cifar10

IN_FILES = [case for case in CASES.values() if not case.needs_machine]
ON_MACHINE = [case for case in CASES.values() if case.needs_machine]
# a refusal, a left-over variable alone, and one where Lightning starts processes; the others take minutes
FAST = ("MPI of size 1 on a node of two", "a lone RANK", "LOCAL_RANK where Lightning is to start processes")
FOREIGN_PREFIXES = (
    "AZ_BATCH",
    "AZUREML_",
    "GLOO_",
    "MASTER_",
    "MPI_",
    "NCCL_",
    "OMPI_",
    "PMI_",
    "SLURM_",
    "TORCHELASTIC_",
)
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a package mpi4py; the environment has no variables of launchers."""
    for name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES) or name in RANKS]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    install_mpi4py(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", IN_FILES, ids=lambda case: case.finding)
def test_the_doctor_finds_it_in_an_environment_file(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "env.txt").write_text("".join(f"{name}={value}\n" for name, value in case.last_process.items()))

    status = __main__.main(["--environment", "env.txt", *case.flags])

    assert status == int(case.is_refused)
    out = " ".join(capsys.readouterr().out.split())
    assert f"{'refused' if case.is_refused else 'ignored'} " in out
    assert case.finding in out


@pytest.mark.parametrize("case", ON_MACHINE, ids=lambda case: case.finding)
def test_the_doctor_finds_it_on_the_machine(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fill_in(case.last_process, folder, PORT).items():
        monkeypatch.setenv(name, value)
    if "PYTHONPATH" in case.last_process:
        monkeypatch.syspath_prepend(folder)

    status = __main__.main(case.flags)

    assert status == int(case.is_refused)
    assert case.finding in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_training_refuses_to_start_or_trains(name: str, folder: Path) -> None:
    case = CASES[name]

    outcomes = train(case, folder, make_cifar10(folder / "cifar"))

    if case.is_refused:
        assert [outcome.status for outcome in outcomes] == [2]
        assert outcomes[0].err.startswith("error: ")
        assert len(outcomes[0].err.splitlines()) == 1
    else:
        assert [(outcome.status, outcome.err) for outcome in outcomes] == [(0, "")] * len(outcomes)
        # processes that train separately would print this once each
        assert sum(outcome.out.count("Finished: 1 epoch, 2 steps") for outcome in outcomes) == 1
    assert (folder / "outputs" / "metrics.jsonl").exists() != case.is_refused


def test_fatal_findings_come_first() -> None:
    given = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "AZ_BATCH_MASTER_NODE": "10.0.0.4:6105"}
    given |= {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "MASTER_ADDRESS": "10.0.0.4"}

    findings = diagnose(given, num_nodes=1).findings

    assert [finding.fatal for finding in findings] == [True, False]
    assert all(finding.what and finding.remedy for finding in findings)
