"""What the doctor sees of this machine: GPUs, the way to rank 0, folders."""

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lightning_app.azureml.job import REQUIRED
from lightning_app.distributed.launch import PYTORCH, Launch
from lightning_app.doctor import __main__, findings, machine, network
from lightning_app.doctor.machine import Gpus
from lightning_app.doctor.network import Route
from tests.support.contradictory_environments import OUTSIDE
from tests.support.launch_variables import LAUNCHERS_VARIABLES

TWO_NODES = Launch(PYTORCH, 1, 0, 2, 2, "10.0.0.4", 6105)
BY_ETH0 = Route("10.0.0.4", "10.0.0.5", "eth0")
A100 = Gpus(("NVIDIA A100 80GB PCIe, 79 GiB",) * 2, "CUDA 13.0, NCCL 2.29.7")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*LAUNCHERS_VARIABLES, *REQUIRED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_this_machine_alone_is_in_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--data_path", str(here)]) == 0

    out = capsys.readouterr().out
    assert "  shape          none: started alone\n" in out
    assert "  strategy       one process\n" in out or "DDP" in out  # of a machine with several GPUs
    assert f"  data           {here}, readable, " in out
    assert f"  outputs        {here}/outputs: " in out
    assert out.endswith("training starts.\n")


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "no such folder"), ("file", "not a directory")])
def test_data_that_training_could_not_read_is_refused(
    name: str, reason: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").touch()

    assert __main__.main(["--data_path", name]) == 1
    assert f"refused        --data_path {name}: {reason}\n" in capsys.readouterr().out


def test_a_mount_is_told_from_a_folder(here: Path) -> None:
    (mount,) = machine.data_rows(Path("/proc"))
    (folder,) = machine.data_rows(here)

    assert mount[1] == "/proc, readable, a mount (proc)"
    assert ", readable, on /" in folder[1]


def test_spaces_in_mounts_and_mounts_that_hide_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = here / "mountinfo"
    table.write_text(
        "20 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "21 20 0:5 / /mnt/my\\040data rw - ext4 /dev/sdb rw\n"
        "22 20 0:6 / /mnt/my\\040data ro shared:1 - fuse.blobfuse2 blobfuse2 ro\n"
    )
    monkeypatch.setattr(machine, "_MOUNTS", table)

    found = machine.mount_of(Path("/mnt/my data/cifar10"))

    assert found == machine.Mount(Path("/mnt/my data"), "fuse.blobfuse2")


def test_outputs_that_can_not_be_written_are_refused() -> None:
    assert machine.check_outputs(Path("outputs")) is None
    found = machine.check_outputs(Path("/proc/1/outputs"))

    if os.geteuid():  # nothing is forbidden to root
        assert found is not None
        assert found.fatal


def test_the_way_to_this_machine_and_to_nowhere() -> None:
    ours = network.route_to(OUTSIDE)

    assert ours.is_here
    assert ours.interface in network.interfaces()
    assert network.route_to("localhost").interface == "lo"
    assert network.route_to("no-such-host.invalid") == Route(None)
    assert network.route_to("a..b") == Route(None)  # no name at all
    assert not network.route_to("198.51.100.1").is_here  # an address of the documentation


@pytest.mark.parametrize(
    ("setting", "is_let"),
    [
        ("eth", True),
        ("eth0", True),
        ("eth1,eth0", True),
        ("=eth", False),
        ("=eth0", True),
        ("lo", False),
        ("^docker0,lo", True),
        ("^docker0,eth", False),
        ("^=eth", True),
        ("^=eth0", False),
    ],
)
def test_nccl_reads_its_interfaces_as_its_manual_says(setting: str, is_let: bool) -> None:
    assert network.names_interface(setting, "eth0") == is_let


def hindrances(
    environment: Mapping[str, str], launch: Launch, route: Route, backend: str = "nccl"
) -> list[tuple[str, bool]]:
    return [
        (each.what, each.fatal)
        for each in network.connectivity_problems(environment, launch, route, backend, several=True)
    ]


@pytest.mark.parametrize(("backend", "fatal"), [("nccl", True), ("gloo", False)])
def test_an_interface_that_nccl_needs(backend: str, fatal: bool) -> None:
    found = hindrances({"NCCL_SOCKET_IFNAME": "^docker0,eth"}, TWO_NODES, BY_ETH0, backend)

    what = "NCCL_SOCKET_IFNAME is ^docker0,eth, which leaves out eth0, by which this node reaches rank 0"
    assert found == [(what, fatal)]
    assert hindrances({"NCCL_SOCKET_IFNAME": "eth"}, TWO_NODES, BY_ETH0, backend) == []


@pytest.mark.parametrize(("backend", "fatal"), [("nccl", False), ("gloo", True)])
def test_an_interface_that_gloo_needs(backend: str, fatal: bool) -> None:
    found = hindrances({"GLOO_SOCKET_IFNAME": "lo,eth77"}, TWO_NODES, BY_ETH0, backend)

    assert found == [("GLOO_SOCKET_IFNAME names eth77, and this node has no such interface", fatal)]


def test_rank_0_elsewhere_than_its_address() -> None:
    first = Launch(PYTORCH, 0, 0, 2, 2, "10.0.0.4", 6105)

    assert hindrances({}, first, BY_ETH0) == [
        ("the address of rank 0, 10.0.0.4, is not this node's, and rank 0 is", False)
    ]
    assert hindrances({}, TWO_NODES, BY_ETH0) == []
    assert hindrances({}, TWO_NODES, Route("10.0.0.4")) == [
        ("the address of rank 0, 10.0.0.4, can't be reached from this node", True)
    ]


def test_a_port_that_somebody_else_has() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        first = Launch(PYTORCH, 0, 0, 2, 1, "127.0.0.1", port)

        found = hindrances({}, first, network.route_to("127.0.0.1"))

    assert found == [(f"port {port}, where rank 0 is to listen, is taken on this node", False)]
    assert hindrances({}, first, network.route_to("127.0.0.1")) == []


def test_gpus_are_named_and_too_few_are_refused() -> None:
    assert machine.gpu_rows(A100) == [
        ("GPUs", "2; CUDA 13.0, NCCL 2.29.7"),
        ("GPU 0", "NVIDIA A100 80GB PCIe, 79 GiB"),
        ("GPU 1", "NVIDIA A100 80GB PCIe, 79 GiB"),
    ]
    assert (A100.backend, Gpus((), "").backend) == ("nccl", "gloo")
    found = machine.check_gpu_count(A100, 4)
    assert found is not None
    assert found.fatal
    assert (
        machine.check_gpu_count(A100, 2)
        is machine.check_gpu_count(A100, None)
        is machine.check_gpu_count(Gpus((), ""), 4)
        is None
    )


def test_a_token_that_has_ended_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict.fromkeys(REQUIRED, "something") | {"AZUREML_RUN_TOKEN_EXPIRY": "1700000000"}
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    found = findings.check_token(given, now)

    assert found is not None
    assert found.what.startswith("the run's token ended at 2023-11-14 22:13 UTC")
    assert not found.fatal
    assert findings.check_token(given | {"AZUREML_RUN_TOKEN_EXPIRY": "1e99"}, now) is None
    assert findings.check_token(given | {"AZUREML_RUN_TOKEN_EXPIRY": "4e9"}, now) is None
