"""A run that goes on from a checkpoint within an epoch equals the run that never stopped, bit by bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BackboneFinetuning
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.trainer.run_trainer import End, RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_loop import StepLoop
from models import CifarNet, ResNetTransfer


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes back the variables of Lightning's seed_everything after the test."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


class Rows(Logger):
    """Keeps what is logged, with its step."""

    name = version = "rows"  # type: ignore[assignment]  # properties in the base class

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Not compared."""

    def log_confusion_matrix(self, *args: Any, **kwargs: Any) -> None:
        """Not compared."""


class Noisy(pl.LightningModule):
    """Depends on all that a resume has to restore: random numbers, modes, metrics, means, schedules."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.backbone = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.Dropout(0.3))
        self.head = nn.Linear(16, 1)
        self.mean = MeanMetric()

    def on_train_epoch_start(self) -> None:
        self.backbone[1].eval()
        self.seen: list[float] = []  # an attribute that only this hook makes

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        noise = torch.rand(()) if batch_idx % 2 else torch.zeros(())
        loss: Tensor = (self.head(self.backbone(batch[0])) - batch[1] + noise).square().mean()
        self.seen.append(loss.item())
        self.mean.update(loss.detach())
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        for logger in self.loggers:
            logger.log_metrics({"from_hook": float(self.mean.compute())}, self.global_step)

    def on_train_epoch_end(self) -> None:
        self.log("mean", self.mean.compute())
        self.mean.reset()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", (self.head(self.backbone(batch[0])) - batch[1]).square().mean() + torch.rand(()))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        step = {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3), "interval": "step"}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.9)
        return [optimizer], [step, {"scheduler": plateau, "monitor": "val_loss"}]


def points(batch_size: int = 4, shuffle: bool = True, workers: int = 0) -> DataLoader[Any]:
    numbers = torch.Generator().manual_seed(3)
    inputs = torch.rand(42, 3, generator=numbers)
    return DataLoader(
        TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=batch_size, shuffle=shuffle, num_workers=workers
    )


def fit(
    model: pl.LightningModule, data: Any, folder: Path, resume: Path | None = None, **settings: Any
) -> tuple[RunTrainer, Rows]:
    pl.seed_everything(7)
    rows = Rows()
    callbacks = settings.pop("callbacks", [])
    defaults = {"max_epochs": 3, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "enable_checkpointing": False}
    shown = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = RunTrainer(
        accelerator="cpu",
        devices=1,
        logger=rows,
        default_root_dir=folder,
        callbacks=[ExactResume(), *callbacks],
        **shown | defaults | settings,
    )
    StepLoop.install(trainer)
    if isinstance(data, pl.LightningDataModule):
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    else:
        trainer.fit(model, *data, ckpt_path=resume, weights_only=True)
    return trainer, rows


class EachStep(pl.Callback):
    """Saves where Lightning's ModelCheckpoint does, at the end of each batch that ends in an optimizer step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.saved = folder, 0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step > self.saved:
            self.saved = trainer.global_step
            trainer.save_checkpoint(self.folder / f"step={self.saved}.ckpt")


def assert_same_end(model: pl.LightningModule, other: pl.LightningModule) -> None:
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=0)


def steps_saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step=*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]))


WITHIN = [{"val_check_interval": 4}, {"val_check_interval": 5, "check_val_every_n_epoch": None}]


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 3}, {"max_steps": 30}, *WITHIN])
def test_from_any_step_a_users_own_module_ends_as_if_it_had_not_been_stopped(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    whole, data = Noisy(), (points(), points(shuffle=False))
    _, expected = fit(whole, data, tmp_path, callbacks=[EachStep(tmp_path)], **settings)
    assert len(steps_saved(tmp_path)) >= 12

    for checkpoint in steps_saved(tmp_path)[::5]:  # 11 steps an epoch: from each place in it
        resumed = Noisy()
        _, rows = fit(resumed, data, tmp_path, checkpoint, **settings)

        assert_same_end(resumed, whole)
        assert rows.rows == expected.rows[len(expected.rows) - len(rows.rows) :], checkpoint


def test_images_in_memory_continue_with_the_batch_after_the_last_one(cifar10: Path, tmp_path: Path) -> None:
    def run(resume: Path | None = None) -> tuple[CifarNet, Rows]:
        model = CifarNet(learning_rate=0.02)
        data = CIFAR10DataModule(str(cifar10), batch_size=20, augment=True, val_split=40)
        _, rows = fit(model, data, tmp_path, resume, callbacks=[EachStep(tmp_path)] if resume is None else [])
        return model, rows

    whole, expected = run()
    for checkpoint in steps_saved(tmp_path)[::3]:
        resumed, rows = run(checkpoint)
        assert_same_end(resumed, whole)
        assert rows.rows == expected.rows[len(expected.rows) - len(rows.rows) :], checkpoint


@pytest.mark.parametrize(("workers", "workers_after"), [(2, 2), pytest.param(0, 2, marks=pytest.mark.slow)])
def test_image_files_continue_whatever_the_number_of_workers(
    image_folder: Path, tmp_path: Path, workers: int, workers_after: int
) -> None:
    """Lightning prefetches with the order of epoch 0 after a resume, where images come from worker processes."""

    def run(number: int, resume: Path | None = None) -> tuple[ResNetTransfer, Rows]:
        model = ResNetTransfer(weights="none", learning_rate=0.05, freeze_backbone=False)
        data = ImageFolderDataModule(str(image_folder), batch_size=4, image_size=32, num_workers=number)
        callbacks = [EachStep(tmp_path)] if resume is None else []
        _, rows = fit(model, data, tmp_path, resume, callbacks=callbacks, max_epochs=2)
        return model, rows

    whole, expected = run(workers)
    for step in (3, 4):  # at the end of the first epoch, within the second one
        resumed, rows = run(workers_after, tmp_path / f"step={step}.ckpt")
        assert_same_end(resumed, whole)
        assert rows.rows == expected.rows[len(expected.rows) - len(rows.rows) :]


class StopAt(StepHooks, pl.Callback):
    """Saves and ends the process's training at once, as after a signal: after a batch, or in its validation."""

    def __init__(self, path: Path, step: int, in_validation: bool) -> None:
        self.path, self.step, self.in_validation = path, step, in_validation

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        if not self.in_validation and trainer.global_step == self.step:
            self._stop(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.in_validation and trainer.global_step == self.step:
            self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        assert isinstance(trainer, RunTrainer)
        trainer.save_now(self.path)
        raise InterruptedError


@pytest.mark.parametrize(("step", "in_validation"), [(6, False), (8, False), (8, True), (11, True)])
def test_after_a_stop_between_a_batch_and_its_end_the_validation_that_is_due_follows(
    step: int, in_validation: bool, tmp_path: Path
) -> None:
    whole, data, stopped = Noisy(), (points(), points(shuffle=False)), tmp_path / "stopped.ckpt"
    _, expected = fit(whole, data, tmp_path, val_check_interval=4 if step < 11 else 1.0)
    with pytest.raises(InterruptedError):
        fit(
            Noisy(),
            data,
            tmp_path,
            callbacks=[StopAt(stopped, step, in_validation)],
            val_check_interval=4 if step < 11 else 1.0,
        )

    resumed = Noisy()
    _, rows = fit(resumed, data, tmp_path, stopped, val_check_interval=4 if step < 11 else 1.0)

    assert_same_end(resumed, whole)
    assert rows.rows == expected.rows[len(expected.rows) - len(rows.rows) :]


class Stopper(pl.Callback):
    """Stops training in the middle of an epoch, as Lightning's Timer does."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 5:
            trainer.should_stop = True


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"max_steps": 15}, End("max_steps")),
        ({"max_epochs": 1}, End("max_epochs")),
        ({"callbacks": [Stopper()]}, End("callback", "Stopper")),
        ({"max_time": {"seconds": 0}}, End("max_time")),
    ],
)
def test_the_trainer_says_why_training_ended(settings: dict[str, Any], end: End, tmp_path: Path) -> None:
    trainer, _ = fit(Noisy(), (points(), points(shuffle=False)), tmp_path, **settings)

    assert trainer.end == end


def test_a_stop_waits_for_the_optimizer_step_of_accumulated_gradients(tmp_path: Path) -> None:
    class StopAtOnce(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            trainer.should_stop = True

    trainer, _ = fit(
        Noisy(), (points(), points(shuffle=False)), tmp_path, callbacks=[StopAtOnce()], accumulate_grad_batches=4
    )

    assert (trainer.global_step, trainer.fit_loop.batch_idx + 1) == (1, 4)


def test_a_backbone_that_is_unfrozen_in_training_continues(tmp_path: Path) -> None:
    """Its learning rate rises with each call of the hook at the start of an epoch, which runs again after a resume."""

    class Frozen(Noisy):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.head.parameters(), lr=0.05, momentum=0.9)

    def run(resume: Path | None = None) -> Frozen:
        model = Frozen()
        callbacks: list[pl.Callback] = [BackboneFinetuning(1, initial_denom_lr=10.0, backbone_initial_lr=0.001)]
        callbacks += [EachStep(tmp_path)] if resume is None else []
        fit(model, (points(), points(shuffle=False)), tmp_path, resume, callbacks=callbacks)
        return model

    whole = run()
    for step in (8, 11, 16, 27):
        assert_same_end(run(tmp_path / f"step={step}.ckpt"), whole)


class Checks(StepHooks, pl.Callback):
    """Looks at every third optimizer step whether to save, and keeps where it was asked."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer, RunTrainer)
        trainer.next_save_check = 3

    def on_save_check(self, trainer: pl.Trainer) -> None:
        assert isinstance(trainer, RunTrainer)
        assert not trainer.within_step
        self.steps.append(trainer.global_step)
        trainer.next_save_check = trainer.global_step + 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]),
        ({"accumulate_grad_batches": 2}, [3, 7, 10, 13, 16]),  # the last of six steps has one batch
        ({"max_steps": 9}, [3, 6]),
    ],
)
def test_saving_is_asked_for_after_optimizer_steps_and_not_at_an_end(
    settings: dict[str, Any], expected: list[int], tmp_path: Path
) -> None:
    checks = Checks()
    fit(Noisy(), (points(), points(shuffle=False)), tmp_path, callbacks=[checks], **settings)

    assert checks.steps == expected
