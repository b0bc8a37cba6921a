"""What every image classifier here does: loss, metrics, and when they are logged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from models.evaluation_charts import EvaluationCharts
from models.step_metrics import StepMetrics

Batch = tuple[Tensor, Tensor]
"""Images, float32 (B, 3, H, W); labels, int64 (B,)."""


class ImageClassifier(pl.LightningModule):
    """Trains ``network``, from images (B, 3, H, W) to logits (B, len(classes)), with SGD on the cross entropy.

    Logs ``train_loss`` and ``train_accuracy`` over all steps since they were last logged, every
    ``trainer.log_every_n_steps`` batches of an epoch and at its end; ``val_*`` and ``test_*`` over the whole set.
    The step that goes with a metric is the number of optimizer steps done. Loggers that take charts get a confusion
    matrix and the most wrong images: of the last validation, when training ends, and of the test.

    Several processes do what one would do with their batches put together: each image of an epoch counts once, also in
    the last step, where some of them may have nothing new. Batch norms are another matter: each process has its own
    mean and variance of a batch, and what is measured and saved are the running ones of rank 0.

    Args:
        network: The network; its last layer has an output a class.
        classes: The names of the classes, in the order of the outputs.
        learning_rate: Step size of SGD.
        momentum: Momentum of SGD.

    Raises:
        ModelError: A value is out of range.
    """

    def __init__(self, network: nn.Module, classes: Sequence[str], learning_rate: float, momentum: float) -> None:
        super().__init__()
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise ModelError(f"--learning_rate {learning_rate}: expected a finite number above 0")
        if not 0 <= momentum < 1:
            raise ModelError(f"--momentum {momentum}: expected a number from 0 to below 1")
        self.network = network
        self.classes = list(classes)
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.train_metrics = StepMetrics(len(self.classes))
        self.eval_loss = MeanMetric(nan_strategy="disable")
        self.eval_accuracy = MulticlassAccuracy(len(self.classes), average="micro", validate_args=False)
        self.eval_charts = EvaluationCharts(self.classes)
        self._uneven: UnevenStep | None = None
        self._uneven_idx = -1  # of the batch that it is; no batch has this one

    @property
    def trains_buffers(self) -> bool:
        """Whether training changes buffers, such as batch norm statistics; DDP then shares them at each step."""
        return True

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes which hook is running some forty times a step; torch would ask each time whether the note is
        # a parameter, a module or a buffer: 75 microseconds of the 1,590 that a step of 4 images took
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def on_train_start(self) -> None:
        self._uneven = uneven_last_step(self.trainer.train_dataloader, self.trainer.world_size)
        self._uneven_idx = -1 if self._uneven is None else self._uneven.batch_idx

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        if batch_idx == self._uneven_idx and self._uneven is not None:
            logits, labels = logits[: self._uneven.counted], labels[: self._uneven.counted]
            loss = functional.cross_entropy(logits, labels, reduction="sum") * self._uneven.weight
        else:
            loss = functional.cross_entropy(logits, labels)
        self.train_metrics.add(loss, logits, labels)
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        # batches are counted within the epoch, as in the tutorials; Lightning's own counter runs on across epochs
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        if self.trainer.is_last_batch or (interval and (batch_idx + 1) % interval == 0):
            self._report("train", self.train_metrics.mean_since_last(), on_step=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def on_validation_epoch_start(self) -> None:
        self._share_statistics()

    def on_test_epoch_start(self) -> None:
        self._share_statistics()

    def on_validation_epoch_end(self) -> None:
        self._report_evaluation("val")

    def on_train_end(self) -> None:
        self.eval_charts.log(self.loggers, "val", self.global_step)

    def on_test_epoch_end(self) -> None:
        self._report_evaluation("test")
        self.eval_charts.log(self.loggers, "test", self.global_step)

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """From images and their numbers to (numbers, labels, probabilities of these labels), each of shape (B,)."""
        images, numbers = batch
        probability, label = self.network(images).softmax(1).max(1)
        return numbers, label, probability

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return self.sgd()

    def sgd(self) -> torch.optim.SGD:
        """SGD over what is to be trained, as one fused kernel: 1.13 instead of 1.22 ms a CIFAR Net step of 4 images."""
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=self.learning_rate, momentum=self.momentum, fused=True)

    def _share_statistics(self) -> None:
        """All measure what is saved, rank 0's batch norms.

        DDP shares them before a training step; before a validation only where that step accumulated no gradients, and
        before a test never.
        """
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _evaluate(self, batch: Batch) -> None:
        images, labels = batch
        logits = self.network(images)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        predicted = logits.argmax(1)
        self.eval_loss.update(losses)
        self.eval_accuracy.update(predicted, labels)
        self.eval_charts.add(images, losses, labels, predicted)

    def _report_evaluation(self, stage: str) -> None:
        means = {"loss": self.eval_loss.compute(), "accuracy": self.eval_accuracy.compute()}
        self.eval_loss.reset()
        self.eval_accuracy.reset()
        self.eval_charts.compute()
        if not self.trainer.sanity_checking:
            self._report(stage, means, on_step=False)

    def _report(self, stage: str, means: Mapping[str, Tensor], *, on_step: bool) -> None:
        metrics = {f"{stage}_{name}": value for name, value in means.items()}
        # logger=False: Lightning would log at its own steps, counted from 0 and across epochs.
        # sync_dist changes nothing, all processes have gathered the same mean already, but Lightning warns without it.
        self.log_dict(
            metrics, logger=False, prog_bar=True, on_step=on_step, on_epoch=not on_step, sync_dist=not on_step
        )
        numbers = {name: float(value) for name, value in metrics.items()}
        if stage != "test":  # which comes after all epochs
            numbers["epoch"] = self.current_epoch
        for logger in self.loggers:
            logger.log_metrics(numbers, step=self.global_step)


@dataclass(frozen=True)
class UnevenStep:
    """Some processes have an image less than the others, and in its place a repeated one that must not count.

    Args:
        batch_idx: The step's number in the epoch.
        counted: How many images of this process's batch count, which are the first ones.
        weight: The loss is the sum over them times this; then the mean over all processes, which DDP makes of the
            gradients, is the mean over all images of the step.
    """

    batch_idx: int
    counted: int
    weight: float


def uneven_last_step(loader: Any, world_size: int) -> UnevenStep | None:
    """None where each process has an equal part of the last step, or where the loader is none of this project's."""
    last_step = getattr(getattr(loader, "sampler", None), "last_step", None)
    if last_step is None:
        return None
    here, everywhere = last_step(loader.batch_size)
    if everywhere % world_size == 0:
        return None
    return UnevenStep(len(loader) - 1, here, world_size / everywhere)


class ModelError(ValueError):
    """What a model was given can't be used; the message names the parameter, what was found and what to do."""
