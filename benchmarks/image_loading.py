"""Images a second of loaders, and epochs from a slow mount: ``python -m benchmarks.image_loading``.

Each round measures all contenders one after the other, on the same generated photographs. Processor time, of the
program and its workers, stands beside images a second, because other programs may use the machine as well.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.slow_mount import MountError, slow_mount
from benchmarks.tables import markdown
from datamodules import ImageFolderDataModule
from datamodules.image_files import Workers

BATCH, SIZE = 32, 224
COUNTS = {256: 480, 2000: 32}  # photographs, by pixels a side
MOUNTED = 960  # photographs of 256 pixels
COPIERS = 32  # threads


def make_photographs(root: Path, side: int, count: int) -> Path:
    """Structures of all sizes and some noise; JPEG of quality 90, as from a camera."""
    for split, number in (("train", count), ("val", 2)):
        for label in ("a", "b"):
            (root / split / label).mkdir(parents=True)
        for index in range(number):
            random = np.random.default_rng([side, index])
            pixels = random.normal(0, 3, (side, side, 3))
            for cells in (2, 4, 8, 16, 32, 64, 128):
                noise = random.normal(128, 40, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
                layer = np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC), np.float32)
                pixels += (layer - 128) * 2 / cells**0.5
            image = Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8))
            image.save(root / split / "ab"[index % 2] / f"{index}.jpg", quality=90)
    return root


def torchvision_loader(root: Path, workers: int) -> Iterable[Any]:
    """Torchvision's folder and transforms, which decode and crop with Pillow."""
    seen = v2.Compose([v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    return DataLoader(ImageFolder(str(root / "train"), seen), BATCH, shuffle=True, num_workers=workers)


def our_loader(root: Path, workers: Workers, cache_gb: float | None, **settings: Any) -> Iterable[Any]:
    """This project's loader after its check of all files, with or without images in memory."""
    data = ImageFolderDataModule(
        str(root), batch_size=BATCH, image_size=SIZE, num_workers=workers, cache_gb=cache_gb, **settings
    )
    data.setup("fit")
    return data.train_dataloader()


def epoch(make: Callable[[], Iterable[Any]]) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of one epoch; the workers start and end in it."""
    loader = make()
    processor, start = _processor_time(), time.perf_counter()
    for _ in loader:
        pass
    seconds = time.perf_counter() - start
    del loader  # ends the workers
    return seconds, _processor_time() - processor


def compare_loaders(folder: Path, rounds: int) -> str:
    """Images a second, how many times torchvision's, and processor time, as a table."""
    rows = []
    for side, count in COUNTS.items():
        root = make_photographs(folder / str(side), side, count)
        contenders: dict[str, Callable[[int], Iterable[Any]]] = {
            "torchvision, Pillow": lambda workers, root=root: torchvision_loader(root, workers),
            "this project, decoding": lambda workers, root=root: our_loader(root, workers, 0),
            "this project, from memory": lambda workers, root=root: our_loader(root, workers, None),
        }
        for workers in (0, 2):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
            for _ in range(rounds):
                for name, make in contenders.items():
                    found[name].append(epoch(lambda make=make, workers=workers: make(workers)))
            first = found["torchvision, Pillow"]
            for name, measured in found.items():
                faster = [theirs[0] / ours[0] for theirs, ours in zip(first, measured, strict=True)]
                wall, processor = (statistics.median(each) for each in zip(*measured, strict=True))
                ratio = f"{statistics.median(faster):.2f} ({min(faster):.2f} to {max(faster):.2f})"
                title = f"{side} pixels, {workers} workers, {name}"
                rows.append([title, f"{count / wall:,.0f}", ratio, f"{1000 * processor / count:.2f}"])
                print(*rows[-1], flush=True)
    return markdown(["images a second", "times torchvision's (range)", "ms of processor time per image"], rows)


def compare_mounts(folder: Path, rounds: int, workers: int = 2) -> str:
    """Seconds of an epoch from a slow mount, from copies, and from the disk, and of what comes before the first one."""
    local = make_photographs(folder / "local", 256, MOUNTED)
    found: dict[str, list[float]] = {}
    with slow_mount(local, folder / "mount") as mount:
        for _ in range(rounds):
            for name, seconds in _mount_round(local, mount, folder / "copies", workers).items():
                found.setdefault(name, []).append(seconds)
                print(name, f"{seconds:.2f}", flush=True)
    rows = [
        [name, f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}"]
        for name, seconds in found.items()
    ]
    for one, other in (
        ("epoch from copies", "epoch from the disk"),
        ("copying, check and first epoch", "parallel copy"),
    ):
        ratios = [a / b for a, b in zip(found[one], found[other], strict=True)]
        rows.append([f"{one} / {other}", f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"])
    return markdown(["median", "range"], rows)


def _mount_round(local: Path, mount: Path, copies: Path, workers: int) -> dict[str, float]:
    seconds = {}
    files = sorted(mount.rglob("*.jpg"))
    shutil.rmtree(copies, ignore_errors=True)
    start = time.perf_counter()
    copies.mkdir()
    with ThreadPoolExecutor(COPIERS) as threads:
        list(threads.map(lambda path: shutil.copyfile(path, copies / f"{path.parent.name}-{path.name}"), files))
    seconds["parallel copy"] = time.perf_counter() - start
    shutil.rmtree(copies)

    start = time.perf_counter()
    for _ in our_loader(mount, "auto", None, stage_dir=str(copies)):
        pass
    seconds["copying, check and first epoch"] = time.perf_counter() - start
    loaders = {
        "epoch from copies": our_loader(mount, workers, 0, stage_dir=str(copies)),
        "epoch from the disk": our_loader(local, workers, 0),
        "epoch from the mount": our_loader(mount, workers, 0),
    }
    for name, loader in loaders.items():
        next(iter(loader))  # its workers run
        start = time.perf_counter()
        for _ in loader:
            pass
        seconds[name] = time.perf_counter() - start
    return seconds


def _processor_time() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--mount", action="store_true", help="measure a slow mount instead; Linux, root")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            compare = compare_mounts if arguments.mount else compare_loaders
            print(compare(Path(folder), arguments.rounds))
        except MountError as error:
            parser.error(f"--mount: {error}; it needs Linux, root and FUSE")


if __name__ == "__main__":
    main()
