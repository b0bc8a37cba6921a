"""The base class of the image classifiers: training, evaluation, and the metrics that they log."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from models.batch_norms import running_statistics_for_single_values
from models.errors import ModelError
from models.evaluation_charts import EvaluationCharts
from models.optimizers import sgd
from models.step_metrics import Quantity, StepMetrics
from models.training_loss import TrainingLoss

Batch = tuple[Tensor, Tensor]
"""Images, float32 (B, 3, H, W), or in their place the features of a frozen backbone (B, F); labels, int64 (B,)."""

Stage = Literal["train", "val", "test"]
_OF_VALIDATION = ("macro_f1", "balanced_accuracy")  # logged after each one; the others are in the file of the last one


def metric_name(stage: Stage, quantity: Quantity) -> str:
    """The name under which classifiers log a metric, such as ``val_accuracy``."""
    return f"{stage}_{quantity}"


class ImageClassifier(pl.LightningModule):
    """Trains ``network``, from images (B, 3, H, W) to logits (B, len(classes)), with SGD and cross entropy.

    Logs ``train_loss`` and ``train_accuracy`` over all steps since they were last logged, every
    ``trainer.log_every_n_steps`` batches of an epoch and at its end, and ``val_*`` and ``test_*`` over the whole set:
    loss, accuracy, macro F1 and balanced accuracy, of the test also top-5 accuracy and expected calibration error.
    With the former comes ``learning_rate``. The step of a metric is the number of optimizer steps done. Loggers that
    accept them get precision, recall and F1 of each class, a confusion matrix and, of the images that are classified
    wrongly, those with the largest loss: of the last validation, when training ends, and of the test.

    Several processes compute the same as one process with all their batches: each image of an epoch counts once, also
    in the last step, where some processes may have no new image. Batch norms differ: each process uses the mean and
    variance of its own batch, and the running statistics of rank 0 are evaluated and saved.

    Args:
        network: The network; its last layer has one output per class.
        classes: The names of the classes, in the order of the outputs.
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        loss: Of the training; the plain cross entropy by default. Validation and test always have that one. The
            training accuracy of mixed images is that of the label with the largest share.

    Raises:
        ModelError: A value is out of range.
    """

    default_log_interval = 2000  # batches, as in the tutorials
    is_small = False  # whether the steps of a small batch are too short for several threads
    feature_width = 0  # see frozen_backbone: number of features of an image
    feature_views = 0  # see frozen_backbone: augmented views of each training image; 0: features aren't kept
    predicted_labels = 1  # of each image, see predict_step
    bf16_features = False  # whether they are computed in bfloat16 where the device is made for it

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        learning_rate: float,
        momentum: float,
        loss: TrainingLoss | None = None,
    ) -> None:
        super().__init__()
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise ModelError(f"--learning_rate {learning_rate}: expected a finite number above 0")
        if not 0 <= momentum < 1:
            raise ModelError(f"--momentum {momentum}: expected a number from 0 to below 1")
        self.network = network
        self.classes = list(classes)
        self.training_loss = loss or TrainingLoss(self.classes)
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.train_metrics = StepMetrics(len(self.classes))
        self.eval_loss = MeanMetric(nan_strategy="disable")
        self.eval_accuracy = MulticlassAccuracy(len(self.classes), average="micro", validate_args=False)
        self.eval_charts = EvaluationCharts(self.classes)
        self._logged_group = 0  # the parameter group whose learning rate is logged

    @property
    def trains_buffers(self) -> bool:
        """Whether training changes buffers, such as batch norm statistics; DDP then shares them at each step."""
        return True

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets this attribute about forty times a step. torch would check each time whether the value is a
        # parameter, a module or a buffer: 75 of the 1,590 microseconds of a step with 4 images
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images)

    def logits(self, inputs: Tensor) -> Tensor:
        """From images (B, 3, H, W) to logits (B, len(classes)); with a ``frozen_backbone``, from its features too."""
        logits: Tensor = self.network(inputs)
        return logits

    def frozen_backbone(self) -> nn.Module | None:
        """The part of the network that isn't trained, from images (B, 3, H, W) to features (B, F).

        None where there is none. The program computes its features once for each view of an image, and passes them to
        ``logits``; see ``lightning_app.trainer.frozen_features``.
        """
        return None

    def on_fit_start(self) -> None:
        parameter = next(self.network.parameters())
        self.training_loss.count_classes(self.trainer.datamodule, parameter)  # type: ignore[attr-defined]  # a connector of the Trainer sets it

    def on_train_start(self) -> None:
        self.train_metrics.reset()  # steps of a learning rate or batch size finder don't count
        self.training_loss.count_images(self.trainer.train_dataloader, self.trainer.world_size)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = self.training_loss.mixed(batch)
        logits = self.logits(images) if images.size(0) > 1 else self._logits_of_one(images, batch_idx)
        loss, logits, labels = self.training_loss(logits, labels, batch_idx)
        self.train_metrics.add(loss, logits, labels)
        return loss

    def batches_without_hooks(self, batch_idx: int) -> float:
        """How many of the epoch's next batches, from ``batch_idx`` on, need no ``on_train_batch_end``.

        With this method a module says that a Trainer may leave out the hooks of these batches; a subclass with more of
        them has its own.
        """
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        return interval - 1 - batch_idx % interval if interval else math.inf

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        # counts batches within the epoch, as the tutorials do; Lightning's own counter continues across epochs
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        if self.trainer.is_last_batch or (interval and (batch_idx + 1) % interval == 0):
            self._log_metrics("train", self.train_metrics.mean_since_last(), on_step=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        self._broadcast_batch_norms()
        self.eval_charts.start(self.trainer.val_dataloaders)

    def on_test_epoch_start(self) -> None:
        self._broadcast_batch_norms()
        self.eval_charts.start(self.trainer.test_dataloaders)

    def on_validation_epoch_end(self) -> None:
        means = self._computed_evaluation()
        if self.trainer.sanity_checking:
            self.eval_charts.log([], "val", self.global_step)  # forgets them
        else:
            self._log_metrics("val", means, on_step=False)

    def on_fit_end(self) -> None:  # unlike on_train_end, also of a run that was killed after its last step
        self.eval_charts.log(self.loggers, "val", self.global_step)

    def on_test_epoch_end(self) -> None:
        means = self._computed_evaluation()
        # the metrics come last: a run that has them is complete, and one that was killed before is tested again
        self.eval_charts.log(self.loggers, "test", self.global_step)
        self._log_metrics("test", means, on_step=False)

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """From images and their indices to (indices, labels, probabilities of these labels), each of shape (B,).

        With ``predicted_labels`` above 1, labels and probabilities are (B, predicted_labels), the most probable first.
        """
        images, indices = batch
        probabilities = self.logits(images).softmax(1)
        if self.predicted_labels == 1:
            probability, label = probabilities.max(1)
        else:
            probability, label = probabilities.topk(self.predicted_labels, 1)
        return indices, label, probability

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return self.sgd()

    def trained_parameters(self) -> list[nn.Parameter] | list[dict[str, Any]]:
        """The parameters that are trained, as torch's optimizers take them: a list of them, or of groups of them."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def sgd(self, **options: Any) -> torch.optim.SGD:
        """SGD over all trained parameters, with further options of ``torch.optim.SGD``."""
        return sgd(self.trained_parameters(), self.learning_rate, self.momentum, self._trainer, **options)

    def _logits_of_one(self, image: Tensor, batch_idx: int) -> Tensor:
        """From the only image of a training batch (1, 3, H, W) to logits (1, len(classes))."""
        with running_statistics_for_single_values(self.network) as used:
            logits = self.logits(image)
        if used and batch_idx == 0:  # so has every other batch, and these statistics would never be learned
            raise ModelError(
                f"a training batch of one image: batch norms of {type(self).__name__} can't be trained on one image of "
                f"{image.shape[-1]} x {image.shape[-2]} pixels; give --batch_size 2 or more, and at least two images"
            )
        return logits

    def _broadcast_batch_norms(self) -> None:
        """Makes all processes evaluate with the batch norms of rank 0, which are those that are saved.

        DDP broadcasts them before a training step, before a validation only if that step accumulated no gradients, and
        never before a test.
        """
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _evaluate(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        logits = self.logits(images)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        predicted = logits.argmax(1)
        self.eval_loss.update(losses)
        self.eval_accuracy.update(predicted, labels)
        self.eval_charts.add(images, losses, labels, predicted, batch_idx)
        self.eval_charts.add_logits(logits, labels)

    def _computed_evaluation(self) -> dict[Quantity, Tensor]:
        """The metrics of all images since the last call; the charts are computed as well."""
        means = self._computed_means()
        self.eval_charts.compute()
        return means

    def _computed_means(self) -> dict[Quantity, Tensor]:
        means: dict[Quantity, Tensor] = {"loss": self.eval_loss.compute(), "accuracy": self.eval_accuracy.compute()}
        self.eval_loss.reset()
        self.eval_accuracy.reset()
        return means

    def _more_metrics(self, stage: Stage) -> dict[str, Tensor | float]:
        """Further metrics of the last validation or test, by their names in its row."""
        overall = self.eval_charts.overall
        logged = list(overall) if stage == "test" else [name for name in _OF_VALIDATION if name in overall]
        return {f"{stage}_{name}": overall[name] for name in logged}

    def _log_metrics(self, stage: Stage, means: Mapping[Quantity, Tensor], *, on_step: bool) -> None:
        metrics = {metric_name(stage, quantity): value for quantity, value in means.items()}
        # logger=False: Lightning would log at its own steps, which count from 0 and across epochs.
        # sync_dist changes no value, because all processes have the same mean, but Lightning warns without it.
        self.log_dict(
            metrics, logger=False, prog_bar=True, on_step=on_step, on_epoch=not on_step, sync_dist=not on_step
        )
        values = {name: float(value) for name, value in metrics.items()}
        if stage != "train" and (more := self._more_metrics(stage)):
            self.log_dict(more, logger=False, on_step=False, on_epoch=True, sync_dist=True)
            values |= {name: float(value) for name, value in more.items()}
        if stage == "train":
            values["learning_rate"] = float(self.trainer.optimizers[0].param_groups[self._logged_group]["lr"])
        if stage != "test":  # the test comes after all epochs
            values["epoch"] = self.current_epoch
        for logger in self.loggers:
            logger.log_metrics(values, step=self.global_step)
