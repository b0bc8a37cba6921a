"""Several steps per execution have the results of one step at a time, bit by bit, or aren't taken together."""

import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, Timer
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import default_collate

from lightning_app.errors import NonFiniteError
from lightning_app.trainer.nonfinite import NonFiniteLoss
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from tests.support.known_module import Fitted, Known, difference, momentum


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes back the variables of Lightning's seed_everything after the test."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


class WithoutGradients(torch.optim.SGD):
    """Calls the closure without gradients, as optimizers of users do that have never had one."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(parameter.grad, alpha=group["lr"])
        return loss


def scheduled(model: nn.Module, make: Callable[[nn.Module], torch.optim.Optimizer] = momentum, **config: Any) -> Any:
    optimizer = make(model)
    if "monitor" in config:
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": ReduceLROnPlateau(optimizer, patience=0, factor=0.5), **config},
        }
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": StepLR(optimizer, 2, gamma=0.9), **config}}


def fused(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3, fused=True)


def shrinking(model: nn.Module) -> torch.optim.Optimizer:
    """Its weights become smaller by a hook after each step."""
    optimizer = momentum(model)
    optimizer.register_step_post_hook(lambda *_: torch._foreach_mul_([p.data for p in model.parameters()], 0.99))
    return optimizer


class OwnParts(Known):
    """Has its own backward, clipping, transfer and schedule step, and returns a mapping."""

    def training_step(self, batch: list[Tensor]) -> Any:  # type: ignore[override]  # also a form that Lightning knows
        return {"loss": super().training_step(batch, 1), "more": 1}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        (loss * 2).backward()

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Tensor]:
        return [batch[0] + torch.rand(()), batch[1]]

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters(), 0.5)
        self.log("norm", norm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        scheduler.step()
        self.stepped = getattr(self, "stepped", 0) + 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["stepped"] = self.stepped


class Stopping(Known):
    """Asks for an end in the middle of an epoch."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        if self.global_step == 17:
            self.trainer.should_stop = True
        return super().training_step(batch, batch_idx)


def skipping(samples: list[Any]) -> Any:
    """As people leave out what can't be read: some batches have nothing left."""
    return None if float(samples[0][0][0]) < 0.2 else default_collate(samples)


def saving(folder: Path) -> pl.Callback:
    return ModelCheckpoint(folder / "each", every_n_train_steps=3, save_top_k=-1, filename="{step}")


VARIANTS: dict[str, tuple[Callable[[], pl.LightningModule], dict[str, Any]]] = {
    "plain": (Known, {}),
    "schedule of steps": (lambda: Known(partial(scheduled, interval="step", frequency=2)), {}),
    "schedule of epochs": (lambda: Known(partial(scheduled, interval="epoch")), {}),
    "schedule of a metric": (lambda: Known(partial(scheduled, monitor="val_loss")), {}),
    "clipped norm": (Known, {"gradient_clip_val": 0.1}),
    "clipped values": (Known, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}),
    "bf16-mixed": (Known, {"precision": "bf16-mixed"}),
    "bf16-true": (Known, {"precision": "bf16-true"}),
    "accumulated": (lambda: Known(partial(scheduled, interval="step")), {"accumulate_grad_batches": 3}),
    "averaged": (Known, {"callbacks": [lambda _: EMAWeightAveraging(decay=0.9, update_starting_at_step=4)]}),
    "learning rate monitored": (Known, {"callbacks": [lambda _: LearningRateMonitor("step")]}),
    "max_steps": (Known, {"max_steps": 17, "max_epochs": -1}),
    "limited batches": (Known, {"limit_train_batches": 8}),
    "validation within the epoch": (Known, {"val_check_interval": 4}),
    "validation across epochs": (Known, {"val_check_interval": 9, "check_val_every_n_epoch": None}),
    "validation while accumulating": (Known, {"val_check_interval": 5, "accumulate_grad_batches": 2}),
    "saved": (Known, {"callbacks": [saving]}),
    "saved while accumulating": (Known, {"callbacks": [saving], "accumulate_grad_batches": 2}),
    "several closures a step": (lambda: Known(lambda m: torch.optim.LBFGS(m.parameters(), lr=0.1, max_iter=3)), {}),
    "fused": (lambda: Known(fused), {}),
    "fused, with a schedule of steps": (lambda: Known(partial(scheduled, make=fused, interval="step")), {}),
    "own optimizer": (lambda: Known(lambda m: WithoutGradients(m.parameters(), lr=0.05)), {}),
    "hook of the optimizer": (lambda: Known(shrinking), {}),
    "own parts": (lambda: OwnParts(partial(scheduled, interval="step")), {}),
    "stopped": (Stopping, {}),
    "stopped before it may": (Stopping, {"min_steps": 25}),
    "missing batches": (Known, {"collate": skipping}),
    "missing batches while accumulating": (Known, {"collate": skipping, "accumulate_grad_batches": 3}),
}


@pytest.mark.filterwarnings("ignore:train_dataloader yielded None")
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_of_steps_per_execution_changes_no_bit(variant: str, tmp_path: Path) -> None:
    make, settings = VARIANTS[variant]
    folders = {steps: tmp_path / str(steps) for steps in (1, 7, 50)}
    runs = []
    for folder in folders.values():
        runs.append(Fitted(make(), int(folder.name), tmp_path / "run", **settings))
        (tmp_path / "run").rename(folder)  # checkpoints hold the path
    one, *others = runs
    batches = one.counts.hooked
    assert all(math.isfinite(value) for _, values in one.rows for value in values.values())
    assert one.counts.plain == 0
    assert batches >= 17

    for fitted, folder in zip(others, list(folders.values())[1:], strict=True):
        assert fitted.counts.plain + fitted.counts.hooked == batches
        assert fitted.counts.plain >= batches / 3
        assert not difference(one.content, fitted.content)
        assert fitted.rows == one.rows
        for path in (folders[1] / "each").glob("*.ckpt"):
            assert not difference(*(torch.load(at / "each" / path.name) for at in (folders[1], folder))), path.name


def test_the_last_step_of_each_execution_is_lightnings(tmp_path: Path) -> None:
    by_steps = {steps: Fitted(Known(), steps, tmp_path, log_every_n_steps=50).counts for steps in (1, 2, 7, 50, None)}

    # eleven steps an epoch: 2 * 5 + 1, 7 + 4, and all of them
    assert {steps: counts.hooked for steps, counts in by_steps.items()} == {1: 33, 2: 18, 7: 6, 50: 3, None: 3}


def test_plain_steps_call_the_optimizer_without_what_torch_does_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[Any] = []
    prepare = torch.optim.SGD._init_group
    monkeypatch.setattr(torch.optim.SGD, "_init_group", lambda *given: prepared.append(given) or prepare(*given))

    counts = Fitted(Known(fused), 50, tmp_path, log_every_n_steps=50).counts

    assert counts.plain == 30
    assert len(prepared) == counts.hooked + 1  # the first step makes the momentum


class SaveEach(StepHooks, pl.Callback):
    """Saves after each step, as a signal would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer, "plain")

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        if (trainer.fit_loop.epoch_loop.batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer, "hooked")

    def _save(self, trainer: pl.Trainer, kind: str) -> None:
        assert isinstance(trainer, RunTrainer)
        trainer.save_now(self.folder / f"{kind}-{trainer.global_step}.ckpt")


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}])
def test_a_run_that_stopped_within_an_execution_ends_like_one_that_never_stopped(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    make = partial(Known, partial(scheduled, interval="step"))
    whole = Fitted(make(), 1, tmp_path, log_every_n_steps=50, **settings)
    Fitted(make(), 7, tmp_path, log_every_n_steps=50, callbacks=[SaveEach], **settings)
    within = sorted(tmp_path.glob("plain-*.ckpt"), key=lambda path: int(path.stem.partition("-")[2]))
    assert len(within) >= 9

    for checkpoint in within[::4]:
        for steps in (1, 7):
            resumed = Fitted(make(), steps, tmp_path, checkpoint, log_every_n_steps=50, **settings)
            for content in (whole.content, resumed.content):
                content.pop("loops", None)  # Lightning counts some things from the resume on
            assert not difference(whole.content, resumed.content), checkpoint
            assert resumed.rows == whole.rows[len(whole.rows) - len(resumed.rows) :]


def test_a_time_limit_ends_training_within_an_execution(tmp_path: Path) -> None:
    """Lightning's Timer asks after each step; it ends the training in the step after that in which time is over."""
    timer = Timer({"seconds": 3600})

    class TimeIsOver(Known):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
            if self.global_step == 3:
                timer._offset = 7200
            return super().training_step(batch, batch_idx)

    fitted = Fitted(TimeIsOver(), 50, tmp_path, callbacks=[lambda _: timer])

    assert fitted.trainer.global_step == 5
    assert fitted.counts.plain == 4


class Bad(Known):
    """Has a loss that is NaN from the sixth step on."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if self.global_step == 5 else loss


def test_a_loss_that_is_nan_is_named_with_its_step(tmp_path: Path) -> None:
    for steps in (1, 7, 50):
        with pytest.raises(NonFiniteError, match="the loss is nan at step 6,"):
            Fitted(Bad(), steps, tmp_path, callbacks=[lambda _: NonFiniteLoss(stop=True)])


class Hook(pl.Callback):
    def on_before_zero_grad(self, *_: Any) -> None:
        """It might look at the gradients."""


class KnownHook(StepHooks, Hook):
    """Needs each fourth batch."""

    seen = 0

    def batches_without_hooks(self, trainer: pl.Trainer, batch_idx: int) -> float:
        return 3 - batch_idx % 4

    def on_before_zero_grad(self, *_: Any) -> None:
        self.seen += 1


class UnsaidHook(KnownHook):
    """Has one more hook, of which it says nothing."""

    def on_after_backward(self, *_: Any) -> None:
        """It might look at the gradients."""


class UnsaidComplete(StepHooks, pl.Callback):
    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        """It might save."""


class Given(pl.Callback):
    """Gets its hook afterwards, as LambdaCallback does."""

    def __init__(self, folder: Path) -> None:
        self.on_train_batch_start = lambda *_: None  # type: ignore[method-assign]


class HookOfModule(Known):
    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)


class OwnOptimization(Known):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


class EachStepSchedule(Known):
    def __init__(self) -> None:
        super().__init__(partial(scheduled, interval="step", monitor="loss"))


class Averaging(EMAWeightAveraging):
    """A user's own: its hook may do anything."""

    def on_train_batch_end(self, *args: Any) -> None:
        super().on_train_batch_end(*args)


REASONS: dict[str, tuple[type[pl.LightningModule], dict[str, Any]]] = {
    "Hook has the hook on_before_zero_grad": (Known, {"callbacks": [lambda _: Hook()]}),
    "UnsaidHook has the hook on_after_backward": (Known, {"callbacks": [lambda _: UnsaidHook()]}),
    "UnsaidComplete has the hook on_batch_complete": (Known, {"callbacks": [lambda _: UnsaidComplete()]}),
    "Given has the hook on_train_batch_start": (Known, {"callbacks": [Given]}),
    "Averaging has the hook on_train_batch_end": (Known, {"callbacks": [lambda _: Averaging(decay=0.9)]}),
    "HookOfModule has the hook optimizer_step": (HookOfModule, {}),
    "OwnOptimization optimizes by itself": (OwnOptimization, {}),
    "a schedule looks at a metric after each step": (EachStepSchedule, {}),
    "SimpleProfiler measures each step": (Known, {"profiler": "simple"}),
    "validations begin by the clock": (Known, {"val_check_interval": "00:00:01:00", "check_val_every_n_epoch": None}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_needs_each_step_sees_each_step_and_a_line_says_so_once(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, settings = REASONS[reason]
    for steps, given in ((None, "auto"), (7, "7")):
        caplog.clear()
        with caplog.at_level(logging.INFO, "lightning_app"):
            fitted = Fitted(make(), steps, tmp_path / given, **settings)

        assert fitted.counts.plain == 0
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("lightning_app")]
        assert lines == [f"--steps_per_execution {given}: one step at a time, because {reason}."]


class Unknown(Known):
    """Doesn't say that steps may run together."""

    batches_without_hooks = property()  # type: ignore[assignment]  # hasattr finds none


def test_a_module_that_does_not_say_so_has_all_hooks_and_a_line_only_where_several_steps_were_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = {}
    for steps in (None, 1, 7):
        caplog.clear()
        with caplog.at_level(logging.INFO, "lightning_app"):
            assert Fitted(Unknown(), steps, tmp_path).counts.plain == 0
        lines[steps] = [each.getMessage() for each in caplog.records if each.name.startswith("lightning_app")]

    expected = "--steps_per_execution 7: one step at a time, because Unknown has no method batches_without_hooks."
    assert lines == {None: [], 1: [], 7: [expected]}


def test_a_callback_that_says_so_has_its_hooks_in_the_steps_that_it_needs(tmp_path: Path) -> None:
    hook = KnownHook()
    fitted = Fitted(Known(), None, tmp_path, callbacks=[lambda _: hook], log_every_n_steps=50)

    assert hook.seen == fitted.counts.hooked == 3 * 3  # batches 3, 7 and the last one, 10, of three epochs
