"""Memory of one process and of four, and of 1, 10 and 100 times the data: ``python -m benchmarks.memory``.

Each row is a training by this project's command line, on generated images of CIFAR-10's size and file layout. Linux.
"""

import argparse
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from datamodules.cifar10_files import FOLDER, TEST_FILE, TRAIN_FILES

ROOT = Path(__file__).parent.parent
IMAGES = 10_000  # for training; there is a fifth as many for the test
BATCH_SIZE, STEPS = 128, 400
SECONDS = 0.2  # between two looks at the memory
COLUMNS = ("images", "processes", "MB of images", "MB in all", "MB that are shared", "images a second")


def write_images(folder: Path, count: int) -> Path:
    """Files in CIFAR-10's layout, of noise."""
    (folder / FOLDER).mkdir(parents=True)
    for number, name in enumerate((*TRAIN_FILES, TEST_FILE)):
        random, images = np.random.default_rng(number), count // len(TRAIN_FILES)
        content = {
            "data": random.integers(0, 256, (images, 3072), np.uint8),
            "labels": random.integers(0, 10, images).tolist(),
        }
        with (folder / FOLDER / name).open("wb") as file:
            pickle.dump(content, file, protocol=4)
    return folder


@dataclass
class Training:
    """What a training used at most, in bytes.

    Args:
        images_per_second: Of all processes, during training.
        everything: Proportional set size (PSS) of its processes: what several share counts once.
        shared: The part of it that is shared memory.
    """

    images_per_second: float = 0.0
    everything: int = 0
    shared: int = 0


def train(data_path: Path, processes: int) -> Training:
    """Runs a training of some steps and looks at its memory meanwhile.

    Raises:
        RuntimeError: The training has failed; the message is its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--data_path", str(data_path), "--batch_size", str(BATCH_SIZE), "--num_epochs", "1"]
        flags += ["--trainer.accelerator", "cpu", "--trainer.devices", str(processes)]
        flags += ["--trainer.limit_train_batches", str(STEPS), "--trainer.limit_test_batches", "0"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (Path(folder) / "output").open("w+") as output:
            program = subprocess.Popen(
                [sys.executable, "-m", "lightning_app.fit", *flags],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            found = Training()
            try:
                while program.poll() is None:
                    everything, shared = proportional_set_size(program.pid)
                    found.everything, found.shared = max(found.everything, everything), max(found.shared, shared)
                    time.sleep(SECONDS)
            finally:
                if program.poll() is None:
                    os.killpg(program.pid, signal.SIGKILL)
            output.seek(0)
            text = output.read()
    speed = re.search(r"Trained ([\d,]+) images a second", text)
    if program.returncode != 0 or speed is None:
        raise RuntimeError(text)
    found.images_per_second = float(speed[1].replace(",", ""))
    return found


def proportional_set_size(session: int) -> tuple[int, int]:
    """PSS of the training processes of a session, and the shared memory in it, in bytes."""
    sizes = {"Pss": 0, "Pss_Shmem": 0}
    for folder in _trainings(session):
        try:
            lines = (folder / "smaps_rollup").read_text().splitlines()[1:]
        except OSError:  # it has ended
            continue
        fields = dict(line.split(":", 1) for line in lines)
        for name in sizes:
            sizes[name] += int(fields[name].split()[0]) * 2**10
    return sizes["Pss"], sizes["Pss_Shmem"]


def _trainings(session: int) -> Iterator[Path]:
    """The folders in /proc of the processes of a session that train, and not of the sender of metrics, for example."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session and b"lightning_app.fit" in (folder / "cmdline").read_bytes():
                yield folder
        except OSError:
            continue


def row(count: int, processes: int, found: Training) -> list[str]:
    images = (count + count // len(TRAIN_FILES)) * 3072
    sizes = [f"{size / 1e6:,.0f}" for size in (images, found.everything, found.shared)]
    return [f"{count:,}", str(processes), *sizes, f"{found.images_per_second:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument(
        "--times", type=int, nargs="+", default=[1, 10, 100], help="sizes of the data (default: 1 10 100)"
    )
    arguments = parser.parse_args()
    if min(arguments.times) < 1:
        parser.error(f"--times {min(arguments.times)}: expected at least 1")
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("this system doesn't show the memory of processes: it needs Linux's /proc/PID/smaps_rollup")
    rows = []
    for times in arguments.times:
        count = IMAGES * times
        with tempfile.TemporaryDirectory() as folder:
            data_path = write_images(Path(folder), count)
            for processes in (1, 4):
                rows.append(row(count, processes, train(data_path, processes)))
                print(*rows[-1], flush=True)
    print(markdown(COLUMNS[1:], rows))


if __name__ == "__main__":
    main()
