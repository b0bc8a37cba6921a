"""Training on features that are computed once is training on images, bit by bit."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BatchSizeFinder, EMAWeightAveraging, LearningRateFinder, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from datamodules.feature_table import features_folder
from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.trainer.frozen_features import FrozenBackbone, FrozenFeatures, computes_bf16
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_loop import StepLoop
from models import ResNetTransfer
from tests.support.commands import Command
from tests.support.images import make_cifar10

CLASSES = ("dark", "light")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


class Rows(Logger):
    """Keeps what is logged."""

    name = version = "rows"  # type: ignore[assignment]  # properties in the base class

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.pictures: list[tuple[Any, list[str]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Not compared."""

    def log_confusion_matrix(self, *args: Any, **kwargs: Any) -> None:
        """Not compared."""

    def log_images(self, name: str, images: Any, captions: Any, step: int) -> None:
        self.pictures.append((images, list(captions)))


def images(folder: Path, **settings: Any) -> ImageFolderDataModule:
    return ImageFolderDataModule(str(folder), **{"batch_size": 5, "num_workers": 0, "image_size": 32} | settings)


def fit(
    views: int, data: pl.LightningDataModule, *, epochs: int = 2, resume: Path | None = None, **settings: Any
) -> tuple[ResNetTransfer, Rows, RunTrainer]:
    pl.seed_everything(7)
    model = settings.pop("model", ResNetTransfer)(
        weights="none", learning_rate=0.05, feature_views=views, classes=settings.pop("classes", CLASSES)
    )
    model.bf16_features = settings.pop("bf16", False)
    rows = Rows()
    shown = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": True}
    callbacks = [ExactResume(), FrozenFeatures(), *settings.pop("callbacks", [])]
    if not any(isinstance(callback, ModelCheckpoint) for callback in callbacks):
        shown["enable_checkpointing"] = False
    trainer = RunTrainer(
        accelerator="cpu", devices=1, logger=rows, callbacks=callbacks, max_epochs=epochs, log_every_n_steps=1,
        num_sanity_val_steps=0, **shown | settings,
    )  # fmt: skip
    StepLoop.install(trainer)
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    return model, rows, trainer


def assert_same(one: tuple[ResNetTransfer, Rows, Any], other: tuple[ResNetTransfer, Rows, Any]) -> None:
    weights, expected = one[0].state_dict(), other[0].state_dict()
    assert weights.keys() == expected.keys()
    assert [name for name in weights if not torch.equal(weights[name], expected[name])] == []
    assert one[1].rows == other[1].rows


def computed() -> int:
    """Number of features that are on the disk."""
    return sum(int(np.count_nonzero(np.fromfile(file, np.uint32))) for file in features_folder().rglob("*.crc32"))


def test_epochs_with_a_view_each_are_those_without_features(image_folder: Path) -> None:
    with_features = fit(2, images(image_folder))

    assert computed() == 2 * 12 + 12
    assert_same(with_features, fit(0, images(image_folder)))


def test_without_augmentation_all_epochs_are_those_without_features(tmp_path: Path) -> None:
    def data() -> CIFAR10DataModule:
        return CIFAR10DataModule(str(make_cifar10(tmp_path / f"{len(list(tmp_path.iterdir()))}", 8)), val_split=8)

    classes = [str(number) for number in range(10)]
    with_features = fit(1, data(), epochs=4, classes=classes)

    assert computed() == 40
    assert_same(with_features, fit(0, data(), epochs=4, classes=classes))


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
def test_every_precision_is_that_without_features(image_folder: Path, precision: str) -> None:
    def settings() -> dict[str, Any]:
        return {"precision": precision, "epochs": 1}

    assert_same(fit(1, images(image_folder), **settings()), fit(0, images(image_folder), **settings()))


def test_a_run_that_finds_the_features_of_another_run_is_that_run(image_folder: Path) -> None:
    first = fit(2, images(image_folder), epochs=5)
    before = computed()

    assert_same(fit(2, images(image_folder), epochs=5), first)
    assert computed() == before == 3 * 12


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize("step", [2, 4, 8, 10])
@pytest.mark.parametrize("lost", [True, False])
def test_a_run_that_goes_on_within_an_epoch_is_that_which_never_stopped(
    image_folder: Path, tmp_path: Path, step: int, lost: bool
) -> None:
    saving = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=1, save_top_k=-1, filename="{step}")
    undisturbed, logged, _ = fit(2, images(image_folder), epochs=4, callbacks=[saving])
    if lost:
        shutil.rmtree(features_folder())

    resumed, rows, _ = fit(2, images(image_folder), epochs=4, resume=tmp_path / f"saved/step={step}.ckpt")

    for name, weights in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weights), name
    assert rows.rows == [row for row in logged.rows if row[0] is not None and row[0] > step]


def test_the_pictures_of_wrong_images_are_the_images(image_folder: Path) -> None:
    _, features, _ = fit(1, images(image_folder), epochs=1, callbacks=[])
    _, pixels, _ = fit(0, images(image_folder), epochs=1, callbacks=[])

    ((shown, captions),), ((expected, expected_captions),) = features.pictures, pixels.pictures
    assert captions == expected_captions != []
    np.testing.assert_array_equal(shown, expected)


def test_after_the_training_the_data_has_images(image_folder: Path) -> None:
    data = images(image_folder)
    model, rows, trainer = fit(1, data, epochs=1)

    trainer.validate(model, datamodule=data, verbose=False)

    assert next(iter(data.val_dataloader()))[0].dim() == 4
    of_features, of_images = (row["val_loss"] for _, row in rows.rows if "val_loss" in row)
    assert of_features == of_images


class Sees(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        assert batch[0].shape[1:] == (3, 32, 32)


class Mixed(ResNetTransfer):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        assert batch[0].shape[1:] == (3, 32, 32)
        return super().training_step(batch, batch_idx)


class Grey(ImageFolderDataModule):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        assert batch[0].shape[1:] == (3, 32, 32)
        return super().on_after_batch_transfer(batch, dataloader_idx)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"callbacks": [Sees()]}, "Sees.on_train_batch_start gets the images"),
        ({"model": Mixed}, "Mixed.training_step gets the images"),
        ({"data": Grey}, "Grey.on_after_batch_transfer gets the images"),
        ({"callbacks": [EMAWeightAveraging()]}, "EMAWeightAveraging averages its weights"),
    ],
    ids=lambda value: value.split(".")[0] if isinstance(value, str) else "",
)
def test_what_needs_the_images_gets_them(
    image_folder: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], reason: str
) -> None:
    caplog.set_level(logging.INFO, "lightning_app")
    make = {**settings}.pop("data", ImageFolderDataModule)

    fit(
        1, make(str(image_folder), batch_size=5, num_workers=0, image_size=32), epochs=1,
        **{name: value for name, value in settings.items() if name != "data"},
    )  # fmt: skip

    assert f"The frozen backbone computes at each step: {reason}." in caplog.messages
    assert not features_folder().exists()


@pytest.mark.filterwarnings("ignore:Found .* module.* in eval mode", "ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("finder", [LearningRateFinder, BatchSizeFinder])
def test_finders_work_with_features(image_folder: Path, tmp_path: Path, finder: Any) -> None:
    settings = {"num_training_steps": 5} if finder is LearningRateFinder else {"max_trials": 2}

    fit(1, images(image_folder, batch_size=2), epochs=1, callbacks=[finder(**settings)], default_root_dir=tmp_path)

    assert computed() > 0


def test_weights_of_one_bit_difference_have_other_features(image_folder: Path) -> None:
    data = images(image_folder)
    model, _, trainer = fit(1, data, epochs=1)
    backbone = FrozenBackbone(trainer, model, data)
    key = backbone.key

    with torch.no_grad():
        model.network.conv1.weight.view(torch.int32)[0, 0, 0, 0] ^= 1  # type: ignore[union-attr,operator,index]

    assert key != backbone.key is not None
    assert backbone.key == FrozenBackbone(trainer, model, data).key


def test_bfloat16_is_close_to_float32(image_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lightning_app")
    _, exact, _ = fit(1, images(image_folder), epochs=1)

    _, rounded, _ = fit(1, images(image_folder), epochs=1, bf16=True)

    losses, expected = ([row["val_loss"] for _, row in rows.rows if "val_loss" in row] for rows in (rounded, exact))
    assert losses == pytest.approx(expected, rel=0.02)
    assert (losses == expected) == (not computes_bf16(CPU))
    assert any("no instructions for bfloat16" in line for line in caplog.messages) == (not computes_bf16(CPU))


@pytest.mark.slow
def test_two_processes_train_on_features_as_on_images(run: Command, image_folder: Path) -> None:
    flags = ("--model", "ResNetTransfer", "--model.weights", "none", "--data_path", str(image_folder))
    flags += ("--data.image_size", "32", "--batch_size", "2", "--num_epochs", "3", "--trainer.accelerator", "cpu")
    for views in (0, 3, 2):
        done = run(
            "fit", *flags, "--trainer.devices", "2", "--model.feature_views", str(views), "--output_dir", f"by{views}"
        )
        assert (done.status, done.err) == (0, "")

    without, features = (
        torch.load(f"by{views}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for views in (0, 3)
    )
    assert [name for name in without if not torch.equal(without[name], features[name])] == []
