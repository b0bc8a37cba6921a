"""One of the processes whose steps are timed; ``benchmarks.scaling`` starts them.

A bare loop around the network, the optimizer and the DDP options that the program uses, and not ``fit``: in one and
the same pair of processes the ways to make a step can then take turns of a fraction of a second each, so that what
else the machine does falls on all of them. Lightning's own work a step is the same in all ways.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from lightning_app.distributed.strategy import ddp_options, without_buffers
from models.cifar_net import CifarNet
from models.classifier import ImageClassifier
from models.resnet_transfer import ResNetTransfer

Clock = Callable[[], float]

CLASSES = tuple("0123456789")
SECONDS_A_TURN = 0.25
WARM_UP = 4  # steps; DDP lays its buckets out anew after the first

ALONE = "1 process"  # the others wait without using their cores
BESIDE = "2, no exchange"  # the same work in all processes, each for itself
TOGETHER = "2, DDP"  # as the program configures it
EXCHANGE = "all-reduce"  # of as many bytes as the gradients have, with nothing else to do
SCALING = (ALONE, BESIDE, TOGETHER, EXCHANGE)

PLAIN = "plain DDP"
OPTIONS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "gradient_as_bucket_view": {"gradient_as_bucket_view": True},
    "static_graph": {"static_graph": True},
    "no broadcast of buffers": {"buffers": False},
    "all three": {"gradient_as_bucket_view": True, "static_graph": True, "buffers": False},
}


@dataclass(frozen=True)
class Case:
    """A network with images of one size, so many in a batch of each process."""

    title: str
    make: Callable[[], ImageClassifier]
    batch_size: int
    pixels: int


CIFAR_NET, SMALL_CIFAR_NET = "CIFAR Net, 128 images", "CIFAR Net, 4 images"
FINE_TUNED, FROZEN = "ResNet-18 fine-tuned, 16 images", "ResNet-18 frozen, 16 images"
CASES = (
    Case(CIFAR_NET, CifarNet, 128, 32),
    Case(SMALL_CIFAR_NET, CifarNet, 4, 32),
    Case(FINE_TUNED, lambda: _resnet(frozen=False), 16, 64),
    Case(FROZEN, lambda: _resnet(frozen=True), 16, 64),
)


@dataclass(frozen=True)
class Timed:
    """Seconds a step of each way, round after round, and the bytes that a step exchanges."""

    title: str
    gradient_bytes: int
    rounds: dict[str, list[float]]


def time_case(case: Case, ways: Sequence[str], rounds: int, clock: Clock) -> Timed:
    """All ways in each round, in an order of its own; all processes must call it alike."""
    torch.manual_seed(0)
    model = case.make()
    batch = _batch(case)
    size = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    steps = {way: _step(case, way, batch, size) for way in ways}
    counts = {way: _count(step) for way, step in steps.items()}
    order = random.Random(0)  # noqa: S311 no secret
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in order.sample(list(ways), len(ways)):
            idle = way == ALONE and dist.get_rank() > 0
            found[way].append(_turn(steps[way], counts[way], clock, idle=idle))
    return Timed(case.title, size, found)


def _resnet(*, frozen: bool) -> ResNetTransfer:
    return ResNetTransfer(depth=18, weights="none", freeze_backbone=frozen, classes=CLASSES)


def _batch(case: Case) -> tuple[Tensor, Tensor]:
    images = torch.rand(case.batch_size, 3, case.pixels, case.pixels)
    return images.contiguous(memory_format=torch.channels_last), torch.randint(10, (case.batch_size,))


def _step(case: Case, way: str, batch: tuple[Tensor, Tensor], size: int) -> Callable[[], object]:
    if way == EXCHANGE:
        return partial(dist.all_reduce, torch.zeros(size // 4))
    model = case.make()
    if isinstance(model, ResNetTransfer) and model.freeze_backbone:
        model.network.eval()  # as its on_train_epoch_start does
    optimizer = model.sgd()
    network: nn.Module = model.network
    if way not in (ALONE, BESIDE):
        network = DistributedDataParallel(network, **(ddp_options(model) if way == TOGETHER else _options(way)))
    images, labels = batch

    def step() -> None:
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _options(way: str) -> dict[str, Any]:
    options = dict(OPTIONS[way])
    if options.pop("buffers", True) is False:
        options |= without_buffers()
    return options


def _count(step: Callable[[], object]) -> int:
    """Steps a turn, the same in all processes, after the warm-up."""
    for _ in range(WARM_UP):
        step()
    count = torch.tensor(max(1, round(SECONDS_A_TURN / _turn(step, WARM_UP, time.perf_counter, idle=False))))
    dist.broadcast(count, 0)
    return int(count)


def _turn(step: Callable[[], object], count: int, clock: Clock, *, idle: bool) -> float:
    """Seconds a step; all processes begin at once."""
    dist.barrier()
    started = clock()
    if not idle:
        for _ in range(count):
            step()
    return (clock() - started) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", required=True)
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--processor_time", action="store_true", help="without the time in which a process waits")
    parser.add_argument("--result", type=Path, required=True, help="written by rank 0")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    meeting = f"file://{given.result.resolve()}.store"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size, timeout=timedelta(minutes=2))
    clock = time.process_time if given.processor_time else time.perf_counter
    timed = [time_case(case, given.ways, given.rounds, clock) for case in CASES if case.title in given.cases]
    if rank == 0:
        given.result.write_text(json.dumps([asdict(one) for one in timed]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
