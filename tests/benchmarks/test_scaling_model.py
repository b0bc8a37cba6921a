"""The model of a step: examples by hand, limits, and that communication never gets cheaper with more nodes."""

import math

import pytest

from benchmarks.scaling_model import (
    ETHERNET,
    INFINIBAND,
    MIB,
    NODES,
    Fabric,
    Network,
    all_reduce,
    buckets,
    latency_share,
    networks_on_a100,
    ring_bytes,
    rows,
    step,
)

NETWORKS = networks_on_a100(248_024, 0.001, 44_726_568, 20_520, 0.3)
BY_TITLE = {network.title: network for network in NETWORKS}


def test_ring_bytes_by_hand() -> None:
    """Four processes with 100 bytes: 3 chunks of 25 to sum, and 3 chunks of 25 to share the sums."""
    assert ring_bytes(100, 4) == 150
    assert ring_bytes(100, 1) == 0
    assert ring_bytes(100, 1000) == pytest.approx(200, rel=0.001)


def test_all_reduce_by_hand() -> None:
    """10 GB between two nodes with one GPU: only bytes matter, in a ring whose messages have no flags."""
    fabric = Fabric("slow", 1e9)

    assert all_reduce(10e9, 2, fabric, gpus_per_node=1) == pytest.approx(10, rel=1e-4)


def test_an_empty_message_on_eight_gpus_by_hand() -> None:
    """A ring has 14 hops of 0.47 µs after 3.6 µs; a tree has 14 hops of 0.52 µs after 4.4 µs."""
    assert all_reduce(0, 1, INFINIBAND) == pytest.approx(10.18e-6)


def test_one_gpu_exchanges_nothing() -> None:
    for network in NETWORKS:
        alone = step(network, 1, INFINIBAND, gpus_per_node=1)
        assert (alone.exchange, alone.efficiency) == (0, pytest.approx(1))


@pytest.mark.parametrize("fabric", [INFINIBAND, ETHERNET], ids=lambda fabric: fabric.title)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.title)
def test_communication_grows_with_the_number_of_nodes(network: Network, fabric: Fabric) -> None:
    steps = [step(network, nodes, fabric) for nodes in NODES]

    assert [one.exchange for one in steps] == sorted(one.exchange for one in steps)
    assert [one.efficiency for one in steps] == sorted((one.efficiency for one in steps), reverse=True)
    assert all(0 < one.exposed <= one.exchange + 1e-12 and 0 < one.efficiency < 1 for one in steps)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.title)
def test_a_slower_fabric_is_worse_between_nodes_and_the_same_inside_a_node(network: Network) -> None:
    assert step(network, 1, ETHERNET) == step(network, 1, INFINIBAND)
    assert all(step(network, n, ETHERNET).efficiency < step(network, n, INFINIBAND).efficiency for n in NODES[1:])


def test_buckets_are_those_of_ddp() -> None:
    assert buckets(248_024) == [248_024]
    assert buckets(MIB) == [MIB]
    assert buckets(44_726_568) == [MIB, 25 * MIB, 44_726_568 - 26 * MIB]


def test_a_long_backward_pass_overlaps_with_all_but_the_last_bucket() -> None:
    """The last bucket is ready only at the end of the backward pass."""
    slow = Network("slow", 27 * MIB, 100.0, 90.0)

    assert step(slow, 2, ETHERNET).exposed == pytest.approx(all_reduce(MIB, 2, ETHERNET))


def test_without_a_backward_pass_nothing_overlaps() -> None:
    frozen = step(BY_TITLE["ResNet-18 frozen"], 4, ETHERNET)

    assert frozen.exposed == frozen.exchange


def test_latency_limits_small_networks_and_bandwidth_large_ones() -> None:
    small, large = BY_TITLE["ResNet-18 frozen"], BY_TITLE["ResNet-18 fine-tuned"]

    assert latency_share(small, 16, INFINIBAND) > 0.8  # 20 kB: latency
    assert latency_share(large, 16, ETHERNET) < 0.1  # 44.7 MB: bandwidth
    assert step(large, 2, ETHERNET).efficiency < 0.5 < 0.9 < step(large, 16, INFINIBAND).efficiency
    # at least the time for the bytes into and out of a node, at its bandwidth
    assert step(large, 16, ETHERNET).exchange > ring_bytes(large.gradient_bytes, 128) / ETHERNET.bandwidth


def test_rows_are_as_wide_as_the_heading() -> None:
    table = rows(NETWORKS)

    assert {len(row) for row in table} == {2 + len(NODES)}
    assert len({row[0] for row in table}) == len(table) == 2 * len(NETWORKS)
    assert all(math.isfinite(network.seconds) for network in NETWORKS)
