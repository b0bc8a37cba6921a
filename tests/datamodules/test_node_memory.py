"""CIFAR-10 in memory: the processes of a node hold it once, and all of them learn what one can't read."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from datamodules import CIFAR10DataModule
from datamodules.node_memory import NodeMemory, mapped
from tests.support.commands import environment
from tests.support.images import make_cifar10

PROCESS = """
import mmap, sys
from pathlib import Path
from types import SimpleNamespace

import torch
from datamodules import CIFAR10DataModule, DataError, cifar10_files

rank, local_rank, node, world_size, folder, store = *map(int, sys.argv[1:5]), *sys.argv[5:]
read_split, reads = cifar10_files.read_split, []
cifar10_files.read_split = lambda *words, **more: reads.append(1) or read_split(*words, **more)
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
data = CIFAR10DataModule(folder, val_split=20, batch_size=30)
data.trainer = SimpleNamespace(world_size=world_size, global_rank=rank, local_rank=local_rank, num_devices=world_size,
                               node_rank=node, overfit_batches=0, predicting=False,
                               strategy=SimpleNamespace(root_device=torch.device("cpu")))
try:
    data.setup("fit")
except DataError as error:
    print(error)
    sys.exit()
data.setup("test")
torch.distributed.barrier()
if rank == 0:
    data.train_dataloader().images[:] = 7  # no program does this; here the others must see it
torch.distributed.barrier()
is_seven = bool((data.train_dataloader().images == 7).all())
others = sum(int(loader.images.sum()) for loader in (data.val_dataloader(), data.test_dataloader()))
print(len(reads), is_seven, others, data.train_dataloader().labels.tolist())
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def outputs(folder: Path, store: Path, *places: tuple[int, int]) -> list[str]:
    """What processes print, which are at these local ranks and nodes."""
    processes = []
    for rank, place in enumerate(places):
        words = [str(number) for number in (rank, *place, len(places))]
        command = [sys.executable, "-c", PROCESS, *words, str(folder), str(store)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()))
    return [process.communicate(timeout=120)[0] for process in processes]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere each process has its own images")
def test_one_process_of_a_node_reads_the_files_and_the_others_share_its_memory(tmp_path: Path) -> None:
    folder = make_cifar10(tmp_path, 40)

    first, second, other_node = outputs(folder, tmp_path / "store", (0, 0), (1, 0), (0, 1))

    assert first.startswith("2 True ")
    assert second == first.replace("2 True ", "0 True ", 1)
    assert other_node == first.replace("2 True ", "2 False ", 1)


def test_what_one_process_can_not_read_all_of_them_report(tmp_path: Path) -> None:
    folder = make_cifar10(tmp_path, 40)
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(b"no pickle")

    first, second = outputs(folder, tmp_path / "store", (0, 0), (1, 0))

    assert "test_batch' is not a batch of CIFAR-10: truncated or damaged" in first
    assert second == first


def test_a_process_alone_reads_what_it_needs_once(tmp_path: Path) -> None:
    folder = make_cifar10(tmp_path, 40)
    data = CIFAR10DataModule(str(folder))

    data.setup("fit")
    images = data.train_dataloader().images
    for path in (folder / "cifar-10-batches-py").glob("*_batch*"):
        path.write_bytes(b"")
    for stage in ("fit", "validate", "test"):
        data.setup(stage)

    assert data.train_dataloader().images is images
    assert len(data.test_dataloader()) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere memory isn't shared")
def test_memory_is_found_by_its_address_and_nothing_else_is_taken_for_it() -> None:
    memory = NodeMemory(100)
    memory.buffer[:2] = b"ab"

    found = mapped(memory.address)

    assert found is not None
    assert found[:3] == b"ab\0"
    assert mapped(memory.address._replace(name="images-other")) is None
    assert mapped(memory.address._replace(file=10_000)) is None
    assert torch.frombuffer(found, dtype=torch.uint8).sum() == ord("a") + ord("b")
