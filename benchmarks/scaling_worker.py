"""One of the processes whose steps ``benchmarks.scaling`` measures.

It is a plain loop with the program's networks, optimizer and DDP options, and not ``fit``. This allows the variants to
take turns of a fraction of a second in the same two processes, so that other load on the machine affects all variants
alike. Lightning's own work in a step is the same in all variants.
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
TURN_SECONDS = 0.25
WARM_UP_STEPS = 4  # DDP rebuilds its buckets after the first step

ONE_PROCESS = "1 process"  # the other process is idle
WITHOUT_EXCHANGE = "2, no exchange"  # both processes do the same work without communication
WITH_DDP = "2, DDP"  # with the program's options
ALL_REDUCE = "all-reduce"  # of as many bytes as the gradients have, without computation
SCALING = (ONE_PROCESS, WITHOUT_EXCHANGE, WITH_DDP, ALL_REDUCE)

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
    """A network, the images in a batch of each process, and their width and height in pixels."""

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
class CaseResult:
    """Seconds per step of each variant in each round, and the bytes of the gradients."""

    title: str
    gradient_bytes: int
    rounds: dict[str, list[float]]


def measure_case(case: Case, variants: Sequence[str], rounds: int, clock: Clock) -> CaseResult:
    """Measures all variants in each round, in a different order each time, which is the same in all processes."""
    torch.manual_seed(0)
    model = case.make()
    batch = _batch(case)
    size = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    steps = {variant: _step(case, variant, batch, size) for variant in variants}
    counts = {variant: _count(step) for variant, step in steps.items()}
    order = random.Random(0)  # noqa: S311 not for cryptography
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in order.sample(list(variants), len(variants)):
            idle = variant == ONE_PROCESS and dist.get_rank() > 0
            seconds[variant].append(_turn(steps[variant], counts[variant], clock, idle=idle))
    return CaseResult(case.title, size, seconds)


def _resnet(*, frozen: bool) -> ResNetTransfer:
    return ResNetTransfer(depth=18, weights="none", freeze_backbone=frozen, classes=CLASSES)


def _batch(case: Case) -> tuple[Tensor, Tensor]:
    images = torch.rand(case.batch_size, 3, case.pixels, case.pixels)
    return images.contiguous(memory_format=torch.channels_last), torch.randint(10, (case.batch_size,))


def _step(case: Case, variant: str, batch: tuple[Tensor, Tensor], size: int) -> Callable[[], object]:
    if variant == ALL_REDUCE:
        return partial(dist.all_reduce, torch.zeros(size // 4))
    model = case.make()
    if isinstance(model, ResNetTransfer) and model.freeze_backbone:
        model.network.eval()  # as its on_train_epoch_start does
    optimizer = model.sgd()
    network: nn.Module = model.network
    if variant not in (ONE_PROCESS, WITHOUT_EXCHANGE):
        options = ddp_options(model) if variant == WITH_DDP else _options(variant)
        network = DistributedDataParallel(network, **options)
    images, labels = batch

    def step() -> None:
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _options(name: str) -> dict[str, Any]:
    options = dict(OPTIONS[name])
    if options.pop("buffers", True) is False:
        options |= without_buffers()
    return options


def _count(step: Callable[[], object]) -> int:
    """Warms up; returns the steps per turn, the same in all processes."""
    for _ in range(WARM_UP_STEPS):
        step()
    count = torch.tensor(max(1, round(TURN_SECONDS / _turn(step, WARM_UP_STEPS, time.perf_counter, idle=False))))
    dist.broadcast(count, 0)
    return int(count)


def _turn(step: Callable[[], object], count: int, clock: Clock, *, idle: bool) -> float:
    """Seconds per step; all processes start at the same time."""
    dist.barrier()
    started = clock()
    if not idle:
        for _ in range(count):
            step()
    return (clock() - started) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", required=True)
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--processor_time", action="store_true", help="measure processor time, without waiting")
    parser.add_argument("--result", type=Path, required=True, help="written by rank 0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    init_method = f"file://{arguments.result.resolve()}.store"
    dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=size, timeout=timedelta(minutes=2))
    clock = time.process_time if arguments.processor_time else time.perf_counter
    results = [
        measure_case(case, arguments.variants, arguments.rounds, clock)
        for case in CASES
        if case.title in arguments.cases
    ]
    if rank == 0:
        arguments.result.write_text(json.dumps([asdict(result) for result in results]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
