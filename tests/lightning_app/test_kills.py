"""A training that is killed leaves what an undisturbed one does; ``make test-kills`` kills many, in each phase."""

import random
from pathlib import Path

from submit.emulator import AzureMLEmulator
from tests.kills import trainings
from tests.kills.disturbed import DisturbedRun, Undisturbed, moments, new_job

PHASES = ("training", "checkpoint", "validation")


def test_a_training_that_is_killed_three_times_leaves_what_an_undisturbed_one_does(
    service: AzureMLEmulator, tmp_path: Path
) -> None:
    numbers = random.Random(0)  # noqa: S311 moments that can be repeated, not a secret
    data = trainings.make_data(tmp_path)
    undisturbed = Undisturbed(trainings.SHORT, service, data, tmp_path / "undisturbed")
    run = DisturbedRun(trainings.SHORT, new_job(service, tmp_path / "killed"), data, undisturbed)

    for moment in moments(numbers, PHASES):
        if not run.kill(moment, numbers.choice(["training", "everything"])):
            break
    run.finish()  # raises if anything is different, or if more is lost than what waited for the disk

    assert run.done
