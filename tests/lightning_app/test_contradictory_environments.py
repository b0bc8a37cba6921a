"""What the doctor says of contradictory environments, and what real trainings do in them: none of them hangs."""

import os
from pathlib import Path

import pytest

from lightning_app.doctor import __main__
from lightning_app.doctor.findings import contradictions
from tests.support.contradictory_environments import CASES, PORT, Case, as_started, install_mpi4py, train
from tests.support.images import make_cifar10

# a refusal, a stray alone, and a stray where Lightning starts processes; the others take minutes
QUICK = ("MPI of size 1 on a node of two", "a lone RANK", "LOCAL_RANK where Lightning is to start processes")
OTHERS_VARIABLES = (
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
    """Of a process in whose environment there is no launcher's variable yet, and in which mpi4py can be found."""
    for name in [name for name in os.environ if name.startswith(OTHERS_VARIABLES) or name in RANKS]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    install_mpi4py(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", [case for case in CASES.values() if not case.live], ids=lambda case: case.words)
def test_the_doctor_sees_it_in_a_dump(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dump").write_text("".join(f"{name}={value}\n" for name, value in case.seen.items()))

    status = __main__.main(["--environment", "dump", *case.flags])

    assert status == int(case.is_refused)
    said = " ".join(capsys.readouterr().out.split())
    assert f"{'refused' if case.is_refused else 'ignored'} " in said
    assert case.words in said


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.live], ids=lambda case: case.words)
def test_the_doctor_sees_it_on_the_machine(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_started(case.seen, folder, PORT).items():
        monkeypatch.setenv(name, value)
    if "PYTHONPATH" in case.seen:
        monkeypatch.syspath_prepend(folder)

    status = __main__.main(case.flags)

    assert status == int(case.is_refused)
    assert case.words in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
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
        # processes that don't know of one another would all tell of it
        assert sum(outcome.out.count("Finished: 1 epoch, 2 steps") for outcome in outcomes) == 1
    assert (folder / "outputs" / "metrics.jsonl").exists() != case.is_refused


def test_what_keeps_training_from_starting_comes_first() -> None:
    given = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "AZ_BATCH_MASTER_NODE": "10.0.0.4:6105"}
    given |= {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "MASTER_ADDRESS": "10.0.0.4"}

    found = contradictions(given, num_nodes=1)

    assert [each.fatal for each in found] == [True, False]
    assert all(each.what and each.remedy for each in found)
