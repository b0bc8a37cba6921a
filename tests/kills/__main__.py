"""Kills and stops trainings at random moments, and says how many steps were repeated; status 1 if a result differs.

python -m tests.kills --kills 50 --rank_kills 20 --stops 20 --seed 0
"""

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.tables import table
from submit.emulator import AzureMLEmulator
from tests.kills import trainings
from tests.kills.attempts import Moment
from tests.kills.disturbed import Disturbance, DisturbanceError, DisturbedRun, Undisturbed, moments, new_job
from tests.kills.phases import PHASES
from tests.kills.trainings import Training

_WITHIN = ["", *PHASES[:-1]]  # the end comes last: nothing can be killed afterwards

Disturb = Callable[[DisturbedRun, random.Random, int], None]


def kill_all(run: DisturbedRun, numbers: random.Random, count: int) -> None:
    for moment in _moments(numbers, count):
        if not run.kill(moment, numbers.choice(["training", "everything"])):
            break
    run.finish()


def kill_ranks(run: DisturbedRun, numbers: random.Random, count: int) -> None:
    for moment in _moments(numbers, count):
        if not run.kill(moment, numbers.choice(["rank 0", "rank 1", "training", "everything"])):
            break
    run.finish()


def stop_ranks(run: DisturbedRun, numbers: random.Random, count: int) -> None:
    for moment in _moments(numbers, count):
        what = numbers.choice(["rank 0", "rank 1", "both", "launcher"])
        if not run.stop(moment, numbers.choice([signal.SIGTERM, signal.SIGINT]), what):
            break
    run.finish()


def disturb(
    kinds: Sequence[Training], how: Disturb, count: int, seed: int, at_once: int, folder: Path
) -> list[Disturbance]:
    """Disturbs trainings until it has happened ``count`` times; raises DisturbanceError if anything is different."""
    done: list[Disturbance] = []
    data = trainings.make_data(folder)
    with AzureMLEmulator() as service, ThreadPoolExecutor(at_once) as pool:
        undisturbed = [
            Undisturbed(kind, service, data, folder / f"undisturbed-{number}") for number, kind in enumerate(kinds)
        ]

        def disturb_one(number: int, most: int) -> list[Disturbance]:
            kind = number % len(kinds)
            job = new_job(service, folder / f"run-{number}")
            run = DisturbedRun(kinds[kind], job, data, undisturbed[kind])
            how(run, random.Random(f"{seed}-{number}"), most)  # noqa: S311  moments that can be repeated, not a secret
            for each in run.done:
                print(f"  {each}", flush=True)
            return run.done

        number = 0
        while (left := count - len(done)) > 0:
            sizes = [min(len(PHASES) + 1, left - start) for start in range(0, left, len(PHASES) + 1)][:at_once]
            for found in pool.map(disturb_one, range(number, number + len(sizes)), sizes):
                done += found
            number += len(sizes)
    return done


def print_summary(title: str, done: Sequence[Disturbance]) -> None:
    print(f"\n{title}: {len(done)}")
    rows = []
    for phase in PHASES:
        hit = [each.repeated for each in done if each.phase == phase]
        rows.append([phase, str(len(hit)), str(max(hit, default=0))])
    print(table(["times", "most steps repeated"], rows))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs of trainings of one process (default: 50)")
    parser.add_argument("--rank_kills", type=int, default=20, help="SIGKILLs of one or all of two ranks (default: 20)")
    parser.add_argument("--stops", type=int, default=20, help="SIGTERM or SIGINT to two ranks (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (default: 0)")
    parser.add_argument("--at_once", type=int, default=2, help="trainings that run at the same time (default: 2)")
    parser.add_argument("--folder", type=Path, help="keeps what the trainings leave; a new folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        one = [trainings.CIFAR, trainings.RESNET, trainings.WORKERS]
        two = [trainings.LIGHTNING_TWO, trainings.TORCHRUN_TWO]
        parts = [
            ("Killed trainings of one process", one, kill_all, options.kills, options.at_once),
            ("Killed ranks of two processes", two, kill_ranks, options.rank_kills, 1),
            ("Signals to two processes", two, stop_ranks, options.stops, 1),
        ]
        status = 0
        for number, (title, kinds, how, count, at_once) in enumerate(parts):
            if count == 0:
                continue
            part = folder / str(number)
            part.mkdir(parents=True)
            print(f"{title}, seed {options.seed}", flush=True)
            try:
                print_summary(title, disturb(kinds, how, count, options.seed, at_once, part))
            except DisturbanceError as error:
                print(f"FAILED: {error}", flush=True)
                status = 1
    return status


def _moments(numbers: random.Random, count: int) -> Iterator[Moment]:
    phases = numbers.sample(_WITHIN, len(_WITHIN))
    return moments(numbers, [*phases, "end"][:count])


if __name__ == "__main__":
    sys.exit(main())
