"""A model of a training step on 1 to 16 nodes with 8 GPUs each. It is computed; nothing here has run on a GPU.

The time of an all-reduce is latency plus bytes divided by bandwidth, for each algorithm that NCCL can use, with NCCL's
own constants. DDP exchanges gradients in buckets during the backward pass; the part of the communication that isn't
finished at the end of the backward pass makes the step longer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GPUS_PER_NODE = 8
NODES = (1, 2, 4, 8, 16)

MICROSECOND = 1e-6
GIGABIT = 1e9 / 8  # bytes
MIB = 2**20

# DDP's documented defaults: a first bucket of 1 MiB, so that communication starts early, and then 25 MiB each.
FIRST_BUCKET, BUCKET = 1 * MIB, 25 * MIB

# Bytes per second through an A100's NVLinks in an all-reduce, as NCCL assumes; NVIDIA publishes 600 GB/s for both
# directions together.
NVLINK = 235e9

# Published by NVIDIA (DeepLearningExamples, ResNet50 v1.5 for PyTorch, DGX A100): images per second of ResNet-50 in
# training on one A100 in TF32, PyTorch's default for convolutions.
RESNET50_A100 = 938
# Published by torchvision with its weights: billions of multiply-adds for an image of 224 px.
RESNET50_GFLOPS, RESNET18_GFLOPS = 4.09, 1.81
# Assumption: as many multiply-adds per second as ResNet-50.
RESNET18_A100 = RESNET50_A100 * RESNET50_GFLOPS / RESNET18_GFLOPS
RESNET_BATCH = 32  # images per GPU
BACKWARD = 2 / 3  # of a step. Assumption: gradients of weights and of inputs take as long as the forward pass each


@dataclass(frozen=True)
class Fabric:
    """The network between nodes.

    Args:
        title: Its name.
        bandwidth: Bytes per second out of a node, and as many into it at the same time.
        extra_latency: Seconds from node to node in addition to NCCL's constants.
    """

    title: str
    bandwidth: float
    extra_latency: float = 0.0


# Standard_ND96asr_v4, published by Microsoft ("ND A100 v4-series"): 8 x 200 Gbit/s HDR InfiniBand, and 24,000 Mbit/s
# for all other traffic of the node, which a job without InfiniBand would use.
INFINIBAND = Fabric("InfiniBand", 8 * 200 * GIGABIT)
# Assumption: TCP has 30 µs more latency than InfiniBand.
ETHERNET = Fabric("Ethernet", 24 * GIGABIT, 30 * MICROSECOND)


@dataclass(frozen=True)
class Algorithm:
    """An all-reduce algorithm of NCCL with its protocol.

    Args:
        is_tree: Whether data goes up and down a tree of the nodes; otherwise it goes round a ring of all processes.
        start: Seconds of latency, once.
        intra_node: Seconds of latency for each hop by NVLink.
        inter_node: Seconds of latency for each hop from node to node.
        efficiency: Share of the bandwidth that carries data.
        max_bandwidth: Bytes per second.
    """

    is_tree: bool
    start: float
    intra_node: float
    inter_node: float
    efficiency: float
    max_bandwidth: float = math.inf


# baseLat, hwLat and the bandwidths of ncclTopoTuneModel, in microseconds and bytes a second: published by NVIDIA in
# src/graph/tuning.cc of NVIDIA/nccl, for A100s on more than two nodes.
ALGORITHMS = tuple(
    Algorithm(is_tree, start * MICROSECOND, intra * MICROSECOND, inter * MICROSECOND, efficiency, max_bandwidth)
    for is_tree, start, intra, inter, efficiency, max_bandwidth in (
        (False, 3.6, 0.47, 2.7, 1 / 4, math.inf),  # ring, LL: half of each message is flags
        (False, 10.0, 1.9, 4.0, 0.92, math.inf),  # ring, LL128
        (False, 8.4, 3.4, 9.6, 1.0, math.inf),  # ring, Simple
        (True, 4.4, 0.52, 5.0, 0.9 / 3.8, 80e9 / 3.8),  # tree, LL
        (True, 4.4, 1.2, 8.5, 0.9 * 0.915, 105e9 * 0.915),  # tree, LL128
        (True, 0.0, 28.0, 50.0, 0.9, 80e9),  # tree, Simple
    )
)


@dataclass(frozen=True)
class Network:
    """A step of one GPU.

    Args:
        title: The network's name.
        gradient_bytes: Exchanged in a step.
        seconds: Of computation in a step.
        backward: Seconds of the backward pass, in which gradients become ready one after the other.
    """

    title: str
    gradient_bytes: int
    seconds: float
    backward: float


@dataclass(frozen=True)
class Step:
    """Seconds of computation, of all-reduce, and of the part of it that doesn't overlap with computation."""

    compute: float
    exchange: float
    exposed: float

    @property
    def efficiency(self) -> float:
        """Images per second, as a share of those without communication."""
        return self.compute / (self.compute + self.exposed)


def networks_on_a100(
    cifar_net_bytes: int, cifar_net_seconds: float, fine_tuned_bytes: int, frozen_bytes: int, frozen_share: float
) -> list[Network]:
    """The networks on an A100.

    Args:
        cifar_net_bytes: Gradients of CIFAR Net.
        cifar_net_seconds: A step of CIFAR Net with 4 images on one core here, which is mostly the overhead of Python
            and PyTorch. On an A100 the computation of 128 images takes microseconds, so that the overhead determines
            the time of a step. Assumption: it is the same there as here.
        fine_tuned_bytes: Gradients of all of ResNet-18.
        frozen_bytes: Gradients of its head only.
        frozen_share: Time of a step for the head only, as a share of one for all of ResNet-18, measured here.
    """
    seconds = RESNET_BATCH / RESNET18_A100
    return [
        Network("CIFAR Net", cifar_net_bytes, cifar_net_seconds, cifar_net_seconds * BACKWARD),
        Network("ResNet-18 frozen", frozen_bytes, seconds * frozen_share, 0.0),
        Network("ResNet-18 fine-tuned", fine_tuned_bytes, seconds, seconds * BACKWARD),
    ]


def ring_bytes(size: float, processes: int) -> float:
    """Bytes that each process sends in a ring all-reduce: all chunks but one to sum, and again to share the sums."""
    return 2 * (processes - 1) / processes * size


def all_reduce(size: float, nodes: int, fabric: Fabric, gpus_per_node: int = GPUS_PER_NODE) -> float:
    """Seconds, with the fastest algorithm."""
    if nodes * gpus_per_node == 1:
        return 0.0
    return min(_seconds(algorithm, size, nodes, fabric, gpus_per_node) for algorithm in ALGORITHMS)


def buckets(size: int) -> list[int]:
    """Bytes of DDP's buckets in the order in which they are exchanged."""
    sizes = [min(size, FIRST_BUCKET)]
    while (rest := size - sum(sizes)) > 0:
        sizes.append(min(rest, BUCKET))
    return sizes


def step(network: Network, nodes: int, fabric: Fabric, gpus_per_node: int = GPUS_PER_NODE) -> Step:
    """A step with the same batch size per GPU for any number of GPUs.

    Assumption: gradients become ready at a constant rate during the backward pass. Those of a ResNet are ready sooner,
    because most of its weights are in the layers where the backward pass starts.
    """
    done = ready = exchange = 0.0
    for bucket in buckets(network.gradient_bytes):
        ready += network.backward * bucket / network.gradient_bytes
        seconds = all_reduce(bucket, nodes, fabric, gpus_per_node)
        done = max(ready, done) + seconds
        exchange += seconds
    return Step(network.seconds, exchange, done - network.backward)


def latency_share(network: Network, nodes: int, fabric: Fabric) -> float:
    """The share of a step's communication that remains with empty messages."""
    empty = sum(all_reduce(0, nodes, fabric) for _ in buckets(network.gradient_bytes))
    return empty / step(network, nodes, fabric).exchange


def rows(networks: Sequence[Network]) -> list[list[str]]:
    """A row for each network and fabric: computation, then communication and efficiency by the number of nodes."""
    lines = []
    for network in networks:
        for fabric in (INFINIBAND, ETHERNET):
            steps = [step(network, nodes, fabric) for nodes in NODES]
            cells = [f"{one.exchange * 1000:.2f} ms, {one.efficiency:.0%}" for one in steps]
            lines.append([f"{network.title}, {fabric.title}", f"{network.seconds * 1000:.1f} ms", *cells])
    return lines


def latency_sentences(networks: Sequence[Network], nodes: int = NODES[-1]) -> list[str]:
    """The share of latency in the communication on ``nodes`` nodes, a sentence for each network and fabric."""
    return [
        f"{network.title}, {fabric.title}, {nodes} nodes: {latency_share(network, nodes, fabric):.0%} of the "
        "communication is latency"
        for network in networks
        for fabric in (INFINIBAND, ETHERNET)
    ]


def _seconds(algorithm: Algorithm, size: float, nodes: int, fabric: Fabric, gpus_per_node: int) -> float:
    processes = nodes * gpus_per_node
    bandwidth = min(NVLINK, fabric.bandwidth) if nodes > 1 else NVLINK
    bandwidth = min(bandwidth * algorithm.efficiency, algorithm.max_bandwidth)
    if algorithm.is_tree:
        intra_hops, inter_hops = 2 * (gpus_per_node - 1), 2 * math.log2(nodes)
        sent = 2 * size
    else:
        inter_hops = 2 * (nodes - 1)
        intra_hops = 2 * (processes - 1) - inter_hops
        sent = ring_bytes(size, processes)
    latency = intra_hops * algorithm.intra_node + inter_hops * (algorithm.inter_node + fabric.extra_latency)
    return algorithm.start + latency + sent / bandwidth
