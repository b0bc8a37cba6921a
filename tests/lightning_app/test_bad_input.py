"""Bad input: one line that names the flag, exit status 2, and no file left behind."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from lightning_app.azureml.destination import CHOICE
from tests.support.commands import Command, without_privileges
from tests.support.images import make_cifar10, make_image_folder

TRANSFER = ["--model", "ResNetTransfer", "--model.weights", "none", "--data.image_size", "32"]
Prepare = Callable[[Path], Any]


def batch(root: Path, name: str = "data_batch_3") -> Path:
    return make_cifar10(root / "data") / "cifar-10-batches-py" / name


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hostile_code_ran",)


def wrong_labels(root: Path) -> None:
    path = batch(root)
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(content | {"labels": [11, *content["labels"][1:]]}, protocol=2))


def images(root: Path) -> Path:
    return make_image_folder(root / "data")


def other_classes(root: Path) -> None:
    (images(root) / "val" / "light").rename(root / "data" / "val" / "lite")


def weights_of_resnet34(root: Path) -> None:
    images(root)
    torch.save(torchvision.models.get_model("resnet34", weights=None).state_dict(), root / "w.pt")


def empty_class(root: Path) -> None:
    (images(root) / "train" / "empty").mkdir()
    (root / "data" / "val" / "empty").mkdir()


def no_classes(root: Path) -> None:
    for split in ("train", "val"):
        (root / "data" / split).mkdir(parents=True)


CIFAR = ["--data_path", "data"]
FOLDER = [*TRANSFER, "--data_path", "data"]
CASES: dict[str, tuple[Prepare, list[str], list[str]]] = {
    # the command line itself
    "unknown flag": (Path, ["--learning_rat", "1"], ["--learning_rat: unknown flag; did you mean --learning_rate?"]),
    "unknown Trainer flag": (Path, ["--trainer.max_epoch", "1"], ["--trainer.max_epoch: unknown flag; did you mean"]),
    "unknown setting": (Path, ["--model.momentun", "1"], ["--model.momentun", "did you mean momentum?"]),
    "a word without a flag": (Path, ["cifar"], ["cifar: expected a flag"]),
    "unknown model": (Path, ["--model", "CifarNett"], ["--model CifarNett: no such class; did you mean CifarNet?"]),
    "unknown module": (Path, ["--model", "no_module.M"], ["--model no_module.M: No module named 'no_module'"]),
    "data as model": (Path, ["--model", "datamodules.CIFAR10DataModule"], ["--model", "a subclass of LightningModule"]),
    "negative timeout": (Path, ["--azureml.exit_timeout", "-3"], ["--azureml.exit_timeout -3.0: expected seconds"]),
    "a setting twice": (Path, ["--seed", "1", "--seed_everything", "2"], ["are one setting; give it once"]),
    "no such config": (Path, ["--config", "no.yaml"], ["--config", "no.yaml", "no such file"]),
    "batch size 0": (Path, ["--batch_size", "0"], ["--batch_size 0: expected a whole number from 1 to 1,000,000"]),
    "batch size null": (Path, ["--batch_size", "null"], ["--batch_size null: expected a whole number"]),
    "image size too large": (
        Path,
        ["--model", "ResNetTransfer", "--data.image_size", "1000000"],
        ["--data.image_size 1000000: expected a whole number from 1 to 4,096"],
    ),
    "too many workers": (Path, ["--num_workers", "100000"], ["--num_workers 100000: expected a whole number from 0"]),
    "batch size a word": (Path, ["--batch_size", "four"], ["--batch_size four: expected a whole number"]),
    "negative epochs": (Path, ["--num_epochs", "-2"], ["--num_epochs -2: expected a whole number of at least 1"]),
    "learning rate nan": (Path, ["--learning_rate", "nan"], ["--learning_rate nan: expected a finite number"]),
    "learning rate .nan": (Path, ["--learning_rate", ".nan"], ["--learning_rate nan: expected a finite number"]),
    "unknown depth": (Path, ["--model", "ResNetTransfer", "--model.depth", "19"], ["--model.depth 19: expected"]),
    "val_split too large": (batch, [*CIFAR, "--data.val_split", "200"], ["--data.val_split 200: expected fewer"]),
    "no such checkpoint": (Path, ["--resume", "nowhere"], ["--resume 'nowhere': no such file or folder"]),
    "a folder without a run": (lambda root: (root / "empty").mkdir(), ["--resume", "empty"], ["no 'checkpoints/"]),
    "an accelerator that isn't there": (Path, ["--trainer.accelerator", "tpu"], ["--trainer.accelerator tpu: "]),
    # the data path
    "missing path": (Path, CIFAR, ["--data_path 'data': can't be read (No such file or directory)"]),
    "empty path": (lambda root: (root / "data").mkdir(), CIFAR, ["--data_path 'data': expected", "found nothing"]),
    "a file as path": (lambda root: (root / "data").write_text("x"), CIFAR, ["--data_path 'data': can't be read"]),
    "missing path of folders": (Path, FOLDER, ["--data_path 'data': can't be read"]),
    "empty path of folders": (lambda root: (root / "data").mkdir(), FOLDER, ["'train' and 'val' in it; found nothing"]),
    # CIFAR-10
    "a batch missing": (lambda root: batch(root).unlink(), CIFAR, ["'data_batch_3' is missing; expected"]),
    "no test batch": (lambda root: batch(root, "test_batch").unlink(), CIFAR, ["'test_batch' is missing"]),
    "a batch truncated": (lambda root: truncate(batch(root)), CIFAR, ["data_batch_3' is not", "truncated or damaged"]),
    "wrong labels": (wrong_labels, CIFAR, ["data_batch_3'", "found label 11, expected whole numbers from 0 to 9"]),
    "a hostile pickle": (
        lambda root: batch(root).write_bytes(pickle.dumps({"data": Hostile(), "labels": [1]})),
        CIFAR,
        ["data_batch_3'", "mkdir", "no code in it was run"],
    ),
    # image folders
    "no classes": (no_classes, FOLDER, ["train' holds no classes"]),
    "an empty class": (empty_class, FOLDER, ["train/empty' holds no image; each class needs one"]),
    "other classes in val": (other_classes, FOLDER, ["same classes", "only in train: 'light'; only in val: 'lite'"]),
    "no val": (lambda root: shutil.rmtree(images(root) / "val"), FOLDER, ["'train' and 'val' in it; found 'train'"]),
    "a broken image": (
        lambda root: truncate(images(root) / "train" / "light" / "light2.jpg"),
        FOLDER,
        ["light2.jpg' is not a readable image", "--data.skip_broken true"],
    ),
    "a text among images": (
        lambda root: (images(root) / "val" / "light" / "notes.txt").write_text("x"),
        FOLDER,
        ["notes.txt' is not a readable image (its extension"],
    ),
    "weights of another architecture": (
        weights_of_resnet34,
        ["--model", "ResNetTransfer", "--model.weights", "w.pt", "--data_path", "data"],
        ["--model.weights 'w.pt': holds the weights of another network than resnet18"],
    ),
    "no weights file": (images, [*FOLDER, "--model.weights", "w.pt"], ["--model.weights 'w.pt': no such file"]),
    # the output folder
    "output folder in a file": (lambda root: (root / "f").write_text("x"), ["--output_dir", "f/run"],
                                ["--output_dir 'f/run': can't be written"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_no_file_is_written(run: Command, tmp_path: Path, case: str) -> None:
    prepare, arguments, expected = CASES[case]
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    outcome = run("fit", *arguments)

    assert outcome.status == 2, outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for words in expected:
        assert words in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_way_for_the_metrics_that_is_not_known_is_an_error(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE, "mlfow")

    outcome = run("fit")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"error: {CHOICE} is 'mlfow'; expected 'azureml-core' or 'mlflow'; unset it for the default\n"
    assert [*tmp_path.iterdir()] == []


def test_an_unreadable_data_path_is_an_error(run: Command, cifar10: Path) -> None:
    cifar10.chmod(0)

    outcome = run("fit", "--data_path", str(cifar10), prefix=without_privileges())

    cifar10.chmod(0o755)
    assert outcome.status == 2
    assert outcome.err == f"error: --data_path {str(cifar10)!r}: can't be read (Permission denied); give a folder\n"


def test_an_output_folder_without_write_permission_is_an_error(run: Command, cifar10: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    flags = ["--data_path", str(cifar10), "--output_dir", "locked/run"]

    outcome = run("fit", *flags, prefix=without_privileges())

    assert outcome.status == 2
    assert (
        outcome.err == "error: --output_dir 'locked/run': can't be written (Permission denied); give another folder\n"
    )


def test_broken_images_are_left_out_on_request(run: Command, tmp_path: Path) -> None:
    truncate(images(tmp_path) / "train" / "light" / "light2.jpg")
    (tmp_path / "data" / "val" / "light" / "notes.txt").write_text("x")

    outcome = run("fit", *FOLDER, "--num_epochs", "1", "--data.skip_broken", "true")

    assert outcome.status == 0, outcome.err
    assert "Finished: 1 epoch, 3 steps." in outcome.out  # 11 of 12 images, 4 per step


def test_a_full_disk_leaves_the_last_complete_checkpoint(run: Command, cifar10: Path, tmp_path: Path) -> None:
    """The run has a file system of its own, with room for one checkpoint but not for two."""
    (tmp_path / "disk").mkdir()
    flags = ["--data_path", str(cifar10), "--batch_size", "20", "--output_dir", "disk/run"]
    copy = "cp -r disk/run survived"
    script = f'mount -t tmpfs -o size=800k none disk && "$@"; status=$?; {copy}; exit $status'

    outcome = run("fit", *flags, "--num_epochs", "3", prefix=("unshare", "-rm", "sh", "-c", script, "sh"))

    assert outcome.status == 2, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert "No space left on device" in outcome.err
    assert "kept in 'disk/run/checkpoints/last.ckpt'" in outcome.err
    checkpoint = torch.load("survived/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 0
    assert sorted(path.name for path in Path("survived/checkpoints").iterdir()) == ["last.ckpt", "last.ckpt.json"]


def test_a_failed_download_is_one_line_and_leaves_no_run_folder(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server is there

    weights = run("fit", "--model", "ResNetTransfer", "--data_path", "data")
    archive = run("fit", "--data_path", "cifar", "--download")

    assert (weights.status, archive.status) == (2, 2)
    assert "error: --model.weights DEFAULT: torchvision's weights of resnet18 could not be downloaded" in weights.err
    assert "error: --download: could not download CIFAR-10 to 'cifar'" in archive.err
    for outcome in (weights, archive):
        assert "Traceback" not in outcome.err
        assert not Path("outputs").exists()
