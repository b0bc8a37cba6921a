"""On paper: a training step on 1 to 16 nodes with 8 GPUs each. Pure functions; nothing here has run on a GPU.

The time of an all-reduce is latency plus bytes over bandwidth, for the algorithms among which NCCL chooses, with the
constants by which it chooses. DDP exchanges gradients in buckets while the backward pass goes on; what isn't done by
the end of that pass makes the step longer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GPUS_A_NODE = 8
NODES = (1, 2, 4, 8, 16)

MICROSECOND = 1e-6
GIGABIT = 1e9 / 8  # bytes
MIB = 2**20

# DDP's documented defaults: a first bucket of 1 MiB, so that the exchange begins early, and then 25 MiB each.
FIRST_BUCKET, BUCKET = 1 * MIB, 25 * MIB

# Bytes a second through an A100's NVLinks in an all-reduce, as NCCL counts on them; published by NVIDIA are 600 GB/s,
# both directions together.
NVLINK = 235e9

# Published by NVIDIA (DeepLearningExamples, ResNet50 v1.5 for PyTorch, DGX A100): images a second of ResNet-50 in
# training on one A100, in TF32, which is what PyTorch's convolutions take there by default.
RESNET50_A100 = 938
# Published by torchvision with its weights: billions of multiplications with additions, an image of 224 px.
RESNET50_GFLOPS, RESNET18_GFLOPS = 4.09, 1.81
# Assumption: ResNet-18 does as many of them a second as ResNet-50.
RESNET18_A100 = RESNET50_A100 * RESNET50_GFLOPS / RESNET18_GFLOPS
RESNET_BATCH = 32  # images a GPU
BACKWARD = 2 / 3  # of a step: a gradient for the weights and one for the inputs. Assumption


@dataclass(frozen=True)
class Fabric:
    """What connects the nodes.

    Args:
        title: Its name.
        bandwidth: Bytes a second out of a node, and as many into it at the same time.
        further: Seconds from node to node beyond those that NCCL counts on.
    """

    title: str
    bandwidth: float
    further: float = 0.0


# Standard_ND96asr_v4, published by Microsoft ("ND A100 v4-series"): 8 x 200 Gbit/s HDR InfiniBand, and 24,000 Mbit/s
# for all other traffic of the node, which is what a job without InfiniBand would have.
INFINIBAND = Fabric("InfiniBand", 8 * 200 * GIGABIT)
# Assumption: TCP takes 30 µs longer than InfiniBand from process to process.
ETHERNET = Fabric("Ethernet", 24 * GIGABIT, 30 * MICROSECOND)


@dataclass(frozen=True)
class Algorithm:
    """One of NCCL's; seconds of latency to begin, and for each hop inside a node and between nodes.

    Args:
        is_tree: Up and down a tree of the nodes, and a ring of all processes otherwise.
        start: Once.
        inside: A hop by NVLink.
        between: A hop from node to node.
        share: Of the bandwidth, that which carries data.
        most: Bytes a second at most.
    """

    is_tree: bool
    start: float
    inside: float
    between: float
    share: float
    most: float = math.inf


# baseLat, hwLat and the bandwidths of ncclTopoTuneModel, in microseconds and bytes a second: published by NVIDIA in
# src/graph/tuning.cc of NVIDIA/nccl, for A100s on more than two nodes.
ALGORITHMS = tuple(
    Algorithm(is_tree, start * MICROSECOND, inside * MICROSECOND, between * MICROSECOND, share, most)
    for is_tree, start, inside, between, share, most in (
        (False, 3.6, 0.47, 2.7, 1 / 4, math.inf),  # ring, LL: a flag beside each datum
        (False, 10.0, 1.9, 4.0, 0.92, math.inf),  # ring, LL128
        (False, 8.4, 3.4, 9.6, 1.0, math.inf),  # ring, Simple
        (True, 4.4, 0.52, 5.0, 0.9 / 3.8, 80e9 / 3.8),  # tree, LL
        (True, 4.4, 1.2, 8.5, 0.9 * 0.915, 105e9 * 0.915),  # tree, LL128
        (True, 0.0, 28.0, 50.0, 0.9, 80e9),  # tree, Simple
    )
)


@dataclass(frozen=True)
class Network:
    """One GPU's share of a step.

    Args:
        title: Its name.
        gradient_bytes: Exchanged a step.
        seconds: Of computation a step.
        backward: Those of them in which gradients come about, one after the other.
    """

    title: str
    gradient_bytes: int
    seconds: float
    backward: float


@dataclass(frozen=True)
class Step:
    """``exchange`` is what the all-reduces of a step take, ``exposed`` the part of it that computation doesn't hide."""

    compute: float
    exchange: float
    exposed: float

    @property
    def efficiency(self) -> float:
        """Images a second, as a share of those of as many GPUs that needn't exchange anything."""
        return self.compute / (self.compute + self.exposed)


def networks(
    cifar_net_bytes: int, cifar_net_seconds: float, fine_tuned_bytes: int, frozen_bytes: int, frozen_share: float
) -> list[Network]:
    """The networks on an A100.

    Args:
        cifar_net_bytes: Gradients of CIFAR Net.
        cifar_net_seconds: A step of it with 4 images on one core here. The arithmetic of 128 images takes an A100
            microseconds; but no step is shorter than the time that Python and PyTorch need to ask for it, which is
            most of what so small a step takes on a processor. Assumption: it is as long there as here.
        fine_tuned_bytes: Gradients of all of ResNet-18.
        frozen_bytes: Gradients of its head.
        frozen_share: A step for the head alone, as a share of one for all of it, measured here.
    """
    seconds = RESNET_BATCH / RESNET18_A100
    return [
        Network("CIFAR Net", cifar_net_bytes, cifar_net_seconds, cifar_net_seconds * BACKWARD),
        Network("ResNet-18 frozen", frozen_bytes, seconds * frozen_share, 0.0),
        Network("ResNet-18 fine-tuned", fine_tuned_bytes, seconds, seconds * BACKWARD),
    ]


def ring_bytes(size: float, processes: int) -> float:
    """Bytes that each process sends in a ring all-reduce: all parts but one to sum them up, and again to tell."""
    return 2 * (processes - 1) / processes * size


def all_reduce(size: float, nodes: int, fabric: Fabric, gpus_a_node: int = GPUS_A_NODE) -> float:
    """Seconds, by the quickest of the algorithms."""
    if nodes * gpus_a_node == 1:
        return 0.0
    return min(_seconds(algorithm, size, nodes, fabric, gpus_a_node) for algorithm in ALGORITHMS)


def buckets(size: int) -> list[int]:
    """Bytes of DDP's buckets in the order in which they are exchanged."""
    found = [min(size, FIRST_BUCKET)]
    while (left := size - sum(found)) > 0:
        found.append(min(left, BUCKET))
    return found


def step(network: Network, nodes: int, fabric: Fabric, gpus_a_node: int = GPUS_A_NODE) -> Step:
    """A step with the same batch a GPU, whatever their number.

    A bucket is ready when as much of the backward pass is done as of the gradients. Those of a ResNet are ready
    sooner: most of its weights are in the layers where the backward pass begins.
    """
    done = ready = exchange = 0.0
    for bucket in buckets(network.gradient_bytes):
        ready += network.backward * bucket / network.gradient_bytes
        took = all_reduce(bucket, nodes, fabric, gpus_a_node)
        done = max(ready, done) + took
        exchange += took
    return Step(network.seconds, exchange, done - network.backward)


def latency_share(network: Network, nodes: int, fabric: Fabric) -> float:
    """The part of a step's exchange that is left if there is nothing in the messages."""
    empty = sum(all_reduce(0, nodes, fabric) for _ in buckets(network.gradient_bytes))
    return empty / step(network, nodes, fabric).exchange


def rows(found: Sequence[Network]) -> list[list[str]]:
    """A line for each network and fabric: computation, then exchange and efficiency by the number of nodes."""
    lines = []
    for network in found:
        for fabric in (INFINIBAND, ETHERNET):
            steps = [step(network, nodes, fabric) for nodes in NODES]
            cells = [f"{one.exchange * 1000:.2f} ms, {one.efficiency:.0%}" for one in steps]
            lines.append([f"{network.title}, {fabric.title}", f"{network.seconds * 1000:.1f} ms", *cells])
    return lines


def limits(found: Sequence[Network], nodes: int = NODES[-1]) -> list[str]:
    """What an exchange on so many nodes consists of, a sentence for each network and fabric."""
    return [
        f"{network.title}, {fabric.title}, {nodes} nodes: {latency_share(network, nodes, fabric):.0%} of the exchange "
        "is latency"
        for network in found
        for fabric in (INFINIBAND, ETHERNET)
    ]


def _seconds(algorithm: Algorithm, size: float, nodes: int, fabric: Fabric, gpus_a_node: int) -> float:
    processes = nodes * gpus_a_node
    bandwidth = min(NVLINK, fabric.bandwidth) if nodes > 1 else NVLINK
    bandwidth = min(bandwidth * algorithm.share, algorithm.most)
    if algorithm.is_tree:
        inside, between = 2 * (gpus_a_node - 1), 2 * math.log2(nodes)
        sent = 2 * size
    else:
        between = 2 * (nodes - 1)
        inside = 2 * (processes - 1) - between
        sent = ring_bytes(size, processes)
    hops = inside * algorithm.inside + between * (algorithm.between + fabric.further)
    return algorithm.start + hops + sent / bandwidth
