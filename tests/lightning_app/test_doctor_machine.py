"""What the doctor finds on this machine: GPUs, the route to rank 0, folders."""

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
from tests.support.faulty_environments import EXTERNAL_ADDRESS
from tests.support.launch_variables import LAUNCHER_VARIABLES

TWO_NODES = Launch(PYTORCH, 1, 0, 2, 2, "10.0.0.4", 6105)
VIA_ETH0 = Route("10.0.0.4", "10.0.0.5", "eth0")
A100 = Gpus(("NVIDIA A100 80GB PCIe, 79 GiB",) * 2, "CUDA 13.0, NCCL 2.29.7")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*LAUNCHER_VARIABLES, *REQUIRED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_this_machine_without_a_launcher_is_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = __main__.main(["--data_path", str(folder)])

    out = capsys.readouterr().out
    assert status == 0
    assert "  shape          no launcher: one process\n" in out
    assert "  strategy       one process\n" in out or "DDP" in out  # on a machine with several GPUs
    assert f"  data           {folder}, readable, " in out
    assert f"  outputs        {folder}/outputs: " in out
    assert out.endswith("training starts.\n")


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "no such folder"), ("file", "not a directory")])
def test_unreadable_data_is_refused(name: str, reason: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()

    status = __main__.main(["--data_path", name])

    assert status == 1
    assert f"refused        --data_path {name}: {reason}\n" in capsys.readouterr().out


def test_the_report_shows_whether_data_is_on_a_mount(folder: Path) -> None:
    (mount,) = machine.data_rows(Path("/proc"))
    (ordinary,) = machine.data_rows(folder)

    assert mount[1] == "/proc, readable, a mount (proc)"
    assert ", readable, on /" in ordinary[1]


def test_the_last_of_several_file_systems_on_a_mount_point_with_a_space(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = folder / "mountinfo"
    table.write_text(
        "20 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "21 20 0:5 / /mnt/my\\040data rw - ext4 /dev/sdb rw\n"
        "22 20 0:6 / /mnt/my\\040data ro shared:1 - fuse.blobfuse2 blobfuse2 ro\n"
    )
    monkeypatch.setattr(machine, "_MOUNT_TABLE", table)

    found = machine.mount_of(Path("/mnt/my data/cifar10"))

    assert found == machine.Mount(Path("/mnt/my data"), "fuse.blobfuse2")


def test_an_outputs_folder_without_write_permission_is_refused() -> None:
    writable, read_only = machine.check_outputs(Path("outputs")), machine.check_outputs(Path("/proc/1/outputs"))

    assert writable is None
    if os.geteuid():  # root may write everywhere
        assert read_only is not None
        assert read_only.fatal


def test_routes_to_this_machine_and_to_other_addresses() -> None:
    own = network.route_to(EXTERNAL_ADDRESS)

    assert own.is_local
    assert own.interface in network.interfaces()
    assert network.route_to("localhost").interface == "lo"
    assert network.route_to("no-such-host.invalid") == Route(None)
    assert network.route_to("a..b") == Route(None)  # not a valid name
    assert not network.route_to("198.51.100.1").is_local  # reserved for documentation


@pytest.mark.parametrize(
    ("setting", "is_allowed"),
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
def test_nccls_interfaces_are_interpreted_as_in_its_manual(setting: str, is_allowed: bool) -> None:
    assert network.allows_interface(setting, "eth0") == is_allowed


def problems(
    environment: Mapping[str, str], launch: Launch, route: Route, backend: str = "nccl"
) -> list[tuple[str, bool]]:
    findings = network.connectivity_problems(environment, launch, route, backend, several=True)
    return [(finding.what, finding.fatal) for finding in findings]


@pytest.mark.parametrize(("backend", "fatal"), [("nccl", True), ("gloo", False)])
def test_an_interface_excluded_for_nccl_is_found(backend: str, fatal: bool) -> None:
    found = problems({"NCCL_SOCKET_IFNAME": "^docker0,eth"}, TWO_NODES, VIA_ETH0, backend)

    what = "NCCL_SOCKET_IFNAME is ^docker0,eth, which excludes eth0, by which this node reaches rank 0"
    assert found == [(what, fatal)]
    assert problems({"NCCL_SOCKET_IFNAME": "eth"}, TWO_NODES, VIA_ETH0, backend) == []


@pytest.mark.parametrize(("backend", "fatal"), [("nccl", False), ("gloo", True)])
def test_an_unknown_interface_for_gloo_is_found(backend: str, fatal: bool) -> None:
    found = problems({"GLOO_SOCKET_IFNAME": "lo,eth77"}, TWO_NODES, VIA_ETH0, backend)

    assert found == [("GLOO_SOCKET_IFNAME names eth77, and this node has no such interface", fatal)]


def test_a_wrong_address_of_rank_0_is_found() -> None:
    first = Launch(PYTORCH, 0, 0, 2, 2, "10.0.0.4", 6105)

    assert problems({}, first, VIA_ETH0) == [
        ("the address of rank 0, 10.0.0.4, isn't this node's, and rank 0 runs here", False)
    ]
    assert problems({}, TWO_NODES, VIA_ETH0) == []
    assert problems({}, TWO_NODES, Route("10.0.0.4")) == [
        ("the address of rank 0, 10.0.0.4, can't be reached from this node", True)
    ]


def test_a_port_in_use_is_found() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        first = Launch(PYTORCH, 0, 0, 2, 1, "127.0.0.1", port)

        found = problems({}, first, network.route_to("127.0.0.1"))

    assert found == [(f"port {port}, where rank 0 has to listen, is in use on this node", False)]
    assert problems({}, first, network.route_to("127.0.0.1")) == []


def test_gpus_are_listed_and_too_few_are_refused() -> None:
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


def test_an_expired_token_is_found() -> None:
    given = dict.fromkeys(REQUIRED, "something") | {"AZUREML_RUN_TOKEN_EXPIRY": "1700000000"}
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    found = findings.check_token(given, now)

    assert found is not None
    assert found.what.startswith("the run's token expired at 2023-11-14 22:13 UTC")
    assert not found.fatal
    assert findings.check_token(given | {"AZUREML_RUN_TOKEN_EXPIRY": "1e99"}, now) is None
    assert findings.check_token(given | {"AZUREML_RUN_TOKEN_EXPIRY": "4e9"}, now) is None
