"""Images in memory: each file is decoded once, processes share them, and nothing else depends on what is kept."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from datamodules import DataError, ImageFolderDataModule
from datamodules.image_files import ImageFiles, suitable_workers
from datamodules.kept_images import KeptImages, default_bytes
from tests.support.commands import environment


def batches(data: ImageFolderDataModule) -> list[Any]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]  # an EpochSampler has it
    return [*loader, *data.val_dataloader()]


def read(folder: Path, **settings: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(str(folder), image_size=16, batch_size=5, **settings)
    data.setup("fit")
    return data


def files(data: ImageFolderDataModule) -> ImageFiles:
    found: ImageFiles = data.train_dataloader().dataset  # type: ignore[assignment]  # it is an ImageFiles
    return found


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_file_is_decoded_once(image_folder: Path, num_workers: int) -> None:
    expected = batches(read(image_folder, num_workers=0, cache_gb=0))
    data = read(image_folder, num_workers=num_workers)
    shutil.rmtree(image_folder)

    kept = batches(data)

    for (images, labels), (same_images, same_labels) in zip(expected, kept, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


def test_what_does_not_fit_is_decoded_again(image_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "datamodules")
    expected = batches(read(image_folder, num_workers=0, cache_gb=0))
    assert caplog.messages == []

    data = read(image_folder, num_workers=0, cache_gb=5 * 40 * 48 * 3 / 2**30)

    for (images, _), (same_images, _) in zip(expected, batches(data), strict=True):
        assert torch.equal(images, same_images)
    (message,) = caplog.messages
    assert message.endswith(" of 24 images fit into memory (--data.cache_gb); the others are decoded in each epoch.")
    assert not files(data).are_kept


def test_kept_images_fill_no_more_than_their_bound() -> None:
    kept, image = KeptImages(1_000), torch.arange(300, dtype=torch.uint8).view(10, 10, 3)

    for number in range(5):
        kept.put(Path(str(number)), image + number)

    assert [Path(str(number)) in kept for number in range(5)] == [True, True, True, False, False]
    found = kept.get(Path("2"))
    assert found is not None
    assert torch.equal(found, image + 2)
    assert kept.get(Path("4")) is None


def test_by_default_a_part_of_the_memory_is_used() -> None:
    assert 0 < default_bytes() < 2**50


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "1"])
def test_a_bound_that_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"^--data\.cache_gb .*: expected a number of at least 0$"):
        ImageFolderDataModule(cache_gb=value)


SHARE = """
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from datamodules import ImageFolderDataModule

rank, folder, store = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
data = ImageFolderDataModule(folder, image_size=16, num_workers=0)
data.trainer = SimpleNamespace(world_size=2, global_rank=rank, local_rank=rank, num_devices=2, node_rank=0,
                               overfit_batches=0, strategy=SimpleNamespace(root_device=torch.device("cpu")))
data.setup("fit")
files = data.train_dataloader().dataset
torch.distributed.barrier()
if rank == 0:
    for path in files.paths:
        path.unlink()
torch.distributed.barrier()
print(files.are_kept, sum(int(files[0, index][0].sum()) for index in range(len(files))))
torch.distributed.destroy_process_group()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere each process keeps its own images")
def test_the_processes_of_a_node_share_the_work_and_the_memory(image_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHARE]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(image_folder), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for rank in range(2)
    ]

    one, other = (process.communicate(timeout=120)[0] for process in processes)

    assert one.startswith("True ")
    assert one == other


def test_images_in_memory_need_no_workers(image_folder: Path) -> None:
    assert suitable_workers(files(read(image_folder)), None) == 0
    assert suitable_workers(files(read(image_folder, cache_gb=0)), None) in (1, 2)
    assert read(image_folder).train_dataloader().num_workers == 0
    assert read(image_folder, num_workers=1).train_dataloader().num_workers == 1


def test_an_image_that_became_unreadable_is_named(image_folder: Path) -> None:
    data = read(image_folder, num_workers=0, cache_gb=0)
    broken = files(data).paths[0]
    Image.new("RGB", (8, 8)).save(broken, "PNG")
    broken.write_bytes(broken.read_bytes()[:30])

    with pytest.raises(DataError, match="is not a readable image"):
        batches(data)
