"""``python -m submit sweep``: its way to the loopback service, and what goes wrong there."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import Outcome
from tests.support.submitters import Submitter
from tests.support.sweeps import BEST, RATE, require_hyperdrive

pytestmark = pytest.mark.slow

PRINTS_ITS_FLAGS = "import sys\nprint(sys.argv[1:])\n"


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    submitter = Submitter(service, tmp_path).with_training()
    (tmp_path / "training" / "lightning_app" / "fit.py").write_text(PRINTS_ITS_FLAGS)
    return submitter


def send(submitter: Submitter, flags: str, *further: str) -> Outcome:
    source = ("--docker_image", "x:1", "--source_directory", "training", "--dataset", "cifar10")
    return submitter.submit("sweep", *source, *shlex.split(flags), *further)


def unassigned(definition: dict[str, Any]) -> dict[str, Any]:
    """What of a request doesn't say which workspace, snapshot and program it is from."""
    inner = definition["platform_config"]["Definition"]
    kept = {name: inner[name] for name in ("Overrides", "TargetDetails")}
    return {name: value for name, value in definition.items() if name != "user"} | {
        "platform_config": {"Definition": kept}
    }


def test_the_sweep_that_is_sent_is_that_of_the_dry_run_and_can_be_ended(submitter: Submitter) -> None:
    require_hyperdrive()
    flags = f"{RATE} --param model.gamma=choice(a,b) {BEST} --max_runs 4 --max_concurrent 2 --num_epochs 3"

    dry = send(submitter, flags, "--dry_run")
    assert (dry.status, dry.err, submitter.service.requests) == (0, "", [])
    sent = send(submitter, flags)

    assert (sent.status, sent.problems) == (0, "")
    assert sent.err.startswith("note: cost: at most 10,578.24 USD (4 runs x 1 Standard_NC24ads_A100_v4 x 3.673 USD an ")
    sweep = submitter.service.sweeps[-1]
    assert sent.out.splitlines()[0] == f"Run {sweep.run_id}"
    assert sent.out.splitlines()[1].startswith("http")
    assert unassigned(sweep.definition) == yaml.safe_load(dry.out)
    assert sweep.files["lightning_app/fit.py"].decode() == PRINTS_ITS_FLAGS
    assert flags_of_a_run(submitter, sweep.definition, learning_rate="0.01", model_gamma="b") == [
        *("--num_epochs", "3", "--learning_rate", "0.01", "--model.gamma", "b"),
        *("--data_path", "DatasetConsumptionConfig:data", "--trainer.num_nodes=1", "--trainer.devices=1"),
    ]

    status, canceled = submitter.submit("status", sweep.run_id), submitter.submit("cancel", sweep.run_id)

    assert (status.status, canceled.status) == (0, 0), status.err + canceled.err
    assert submitter.service.run(sweep.run_id).status == "Canceled"


def flags_of_a_run(submitter: Submitter, definition: dict[str, Any], **drawn: str) -> list[str]:
    """What the training gets when HyperDrive has drawn these values."""
    command = definition["platform_config"]["Definition"]["Overrides"]["command"]
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("python", shlex.quote(sys.executable), 1)],
        cwd=submitter.folder / "training",
        env={f"AZUREML_SWEEP_{name}": value for name, value in drawn.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = yaml.safe_load(done.stdout)
    return found


@pytest.mark.parametrize(
    ("flags", "fault", "message"),
    [
        (
            "--compute no-cluster",
            None,
            "create it: python -m submit compute --name no-cluster",
        ),
        ("", Fault.status(500, "/hyperdrive/"), "Azure ML didn't accept the sweep: "),
        ("--metric val_acc", None, "did you mean val_accuracy?"),
    ],
)
def test_what_goes_wrong_is_one_line_and_no_sweep(
    submitter: Submitter, flags: str, fault: Fault | None, message: str
) -> None:
    require_hyperdrive()
    if fault:
        submitter.service.inject(fault)

    outcome = send(submitter, f"{RATE} {BEST} --max_runs 2 {flags}")

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.problems.count("\n") == 1
    assert submitter.service.sweeps == []
