"""Transfer learning: a pretrained network of torchvision with a new head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Architecture, layer_of, without_head
from models.backbone_weights import backbone_weights, fitting_weights, load_backbone
from models.classifier import Batch, ImageClassifier, Stage, metric_name
from models.errors import ModelError
from models.evaluation_metrics import EvaluationMetrics
from models.heads import Evaluated, Heads, best_of, parsed_rates, require_apart, summed
from models.step_metrics import Quantity
from models.training_loss import ClassWeights, TrainingLoss

Depth = Literal[18, 34, 50, 101, 152]
_DEPTH: Depth = 18
_HEADS_KEY = "heads"  # in checkpoints of a training with several learning rates


class ResNetTransfer(ImageClassifier):
    """A ResNet, or another network of torchvision, with a new head; SGD with the step schedule of the tutorial.

    Images are float32 (B, 3, H, W), normalised as for ImageNet, also for a network whose weights expect another
    normalisation. The new head is in the place of the layer that makes the logits. GoogLeNet and Inception v3 are
    without the further classifiers that they have for training. The pretrained weights are read when fitting starts; a
    resumed run, ``validate``, ``test`` and ``predict`` load the weights of a checkpoint instead.

    Args:
        depth: Layers of the ResNet.
        architecture: Another image classifier of torchvision, such as efficientnet_b0, in place of the ResNet. On the
            command line, the size of the images is that of its weights unless ``--data.image_size`` is given.
        weights: ``DEFAULT`` (torchvision's ImageNet weights, downloaded once per node), ``none``, or a file with a
            state dict or a checkpoint of this project.
        freeze_backbone: Train only the head; the batch norms of the backbone keep their statistics, too.
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        step_size: Epochs after which the learning rate is multiplied by gamma.
        gamma: Factor of the learning rate.
        classes: The names of the classes; on the command line they come from the data.
        feature_views: Augmented views of each training image. A frozen backbone computes the features of each view
            once; the epochs use the views in turn. 0: it computes at each step, and each epoch has a view of its own.
        bf16_features: Compute these features in bfloat16, where the processor or the GPU is made for it.
        learning_rates: Several learning rates, such as 0.1,0.01,0.001, in place of ``learning_rate``: a frozen backbone
            has a head for each, as if each were trained alone. Each validation chooses the head with the highest
            accuracy, and of equal ones that with the lowest loss: it is the network's, and the checkpoint's.
        label_smoothing: Share of each label that is spread over all classes, from 0 to below 1.
        class_weights: Factors of the training loss of each class, such as 1,2.5, or balanced: all classes count alike.
        mixup_alpha: Mixes training images and their labels by MixUp, with this parameter; 0: not.
        cutmix_alpha: The same by CutMix. With both, each batch has one of them.

    Raises:
        ModelError: A value is out of range, or the weights can't be used.
    """

    def __init__(
        self,
        depth: Depth = _DEPTH,
        weights: str = "DEFAULT",
        freeze_backbone: bool = True,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        step_size: int = 7,
        gamma: float = 0.1,
        classes: Sequence[str] = ("0", "1"),
        feature_views: int = 3,
        bf16_features: bool = False,
        learning_rates: Sequence[float] | str | None = None,
        architecture: str | None = None,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = None,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
    ) -> None:
        rates = parsed_rates(learning_rates)
        if rates and not freeze_backbone:
            raise ModelError(
                "--model.learning_rates: needs a frozen backbone, whose features all heads share; leave out "
                "--model.freeze_backbone false, or give one --learning_rate"
            )
        if rates and feature_views == 0:
            raise ModelError("--model.learning_rates: needs features; give --model.feature_views 1 or more")
        if step_size < 1:
            raise ModelError(f"--model.step_size {step_size}: expected a whole number of epochs, at least 1")
        if feature_views < 0:
            raise ModelError(f"--model.feature_views {feature_views}: expected a whole number of views, or 0")
        if architecture is not None and depth not in (_DEPTH, None):
            raise ModelError(f"--model.depth {depth} and --model.architecture {architecture}: give one of them")
        chosen = Architecture(f"resnet{depth}" if architecture is None else architecture)
        network, self._head = chosen.network(len(classes))
        loss = TrainingLoss(classes, label_smoothing, class_weights, mixup_alpha, cutmix_alpha)
        super().__init__(network, classes, learning_rate, momentum, loss)
        if rates and loss.mixing is not None:
            raise ModelError(
                "--model.learning_rates: needs features, and mixed images have none; give one --learning_rate"
            )
        self.save_hyperparameters()
        self._chosen, self.architecture = chosen, chosen.name
        self.weights = weights
        self.freeze_backbone = freeze_backbone
        self._head_of = layer_of(self._head)
        self._is_linear = isinstance(self._head_of(network), nn.Linear)
        if rates and not self._is_linear:
            raise ModelError(
                f"--model.learning_rates: needs features, and the last layer of {chosen.name} is a convolution; give "
                "another --model.architecture, or one --learning_rate"
            )
        self.feature_width = self._head_of(network).in_features if self._is_linear else 0
        self.feature_views = 0 if loss.mixing is not None else feature_views  # mixed images are new in each step
        self.bf16_features = bf16_features
        self.learning_rates = rates
        self.heads: Heads | None = None  # in fit, if there are several learning rates
        self._head_metrics: nn.ModuleList | None = None  # an EvaluationMetrics for each of them
        self._evaluated: list[Evaluated] = []  # by batch
        self._val_means: list[dict[Quantity, Tensor]] = []  # by head, of the last validation
        self.step_size = step_size
        self.gamma = gamma
        if freeze_backbone:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad = name.startswith(f"{self._head}.")

    @property
    def trains_buffers(self) -> bool:
        return not self.freeze_backbone

    @property
    def backbone(self) -> nn.Module:
        """All layers except the head, for Lightning's ``BackboneFinetuning``."""
        return without_head(self.network, self._head)

    @property
    def image_size(self) -> int | None:
        """Height and width of the images that the network takes, in pixels; None where it takes several sizes."""
        return self._chosen.image_size if self._chosen.takes_one_size_only else None

    @property
    def least_image_size(self) -> int:
        """Height and width of the smallest images that it takes, in pixels."""
        return self._chosen.least_image_size

    def logits(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 2:
            logits: Tensor = self._head_of(self.network)(inputs)
            return logits
        return super().logits(inputs)

    def frozen_backbone(self) -> nn.Module | None:
        return self.backbone if self.freeze_backbone and self._is_linear else None

    def prepare_data(self) -> None:
        """Downloads the ImageNet weights, or checks the file of weights, once per node."""
        if not self._is_fresh_run() or self.weights == "none":
            return
        if self.weights == "DEFAULT":
            self._chosen.weights()
        else:  # before the run folder is prepared
            backbone_weights(self.network, Path(self.weights), architecture=self.architecture, head=self._head)

    def setup(self, stage: str) -> None:
        """Loads the pretrained weights, except those of the head; makes several heads where there are several rates."""
        if stage == "fit" and self.learning_rates:
            require_apart(self.trainer)
            self.heads = Heads(self._head_of(self.network), self.learning_rates)
            self._head_metrics = nn.ModuleList(EvaluationMetrics(len(self.classes)) for _ in self.learning_rates)
        if stage != "fit" or not self._is_fresh_run() or self.weights == "none":
            return
        if self.weights == "DEFAULT":
            names = {"given": self.weights, "architecture": self.architecture, "head": self._head}
            weights = fitting_weights(self._chosen.weights(), self.network, **names)
            self.network.load_state_dict(weights, strict=False)
        else:
            load_backbone(self.network, Path(self.weights), architecture=self.architecture, head=self._head)

    def teardown(self, stage: str) -> None:
        self.heads, self._head_metrics, self._logged_group = None, None, 0

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.heads is not None and self._is_fresh_run():  # --init_from may have changed the chosen head by now
            self.heads.begin_equal()

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.heads is None:
            return
        if not hasattr(self.trainer.train_dataloader, "pictures"):
            raise ModelError("--model.learning_rates: needs features in place of images; see FrozenFeatures")
        if not sum(self.trainer.num_val_batches):
            raise ModelError("--model.learning_rates: needs validation images, by which the best head is chosen")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.heads is not None:
            checkpoint[_HEADS_KEY] = self.heads.saved()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.heads is not None:
            self.heads.load_saved(checkpoint.get(_HEADS_KEY))
            self._logged_group = self.heads.chosen

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.heads is None:
            return super().training_step(batch, batch_idx)
        inputs, labels = batch
        losses = []
        for number, logits in enumerate(self.heads.logits(self._features(inputs))):
            loss, counted_logits, counted_labels = self.training_loss(logits, labels, batch_idx)
            losses.append(loss)
            if number == self.heads.chosen:
                self.train_metrics.add(loss, counted_logits, counted_labels)
        return summed(losses)

    def on_train_epoch_start(self) -> None:
        """Stops the batch norms of a frozen backbone from updating; a linear head is the same in both modes."""
        if self.freeze_backbone:
            self.network.eval()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.sgd()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, self.step_size, self.gamma)]

    def trained_parameters(self) -> list[nn.Parameter] | list[dict[str, Any]]:
        if (heads := self.heads) is None:
            return super().trained_parameters()
        return [{"params": list(heads.parameters_of(n)), "lr": rate} for n, rate in enumerate(heads.rates)]

    def _features(self, inputs: Tensor) -> Tensor:
        """Features (B, F); also from images, which a loader of features yields where there is no room for features."""
        if inputs.dim() == 2:
            return inputs
        backbone = self.frozen_backbone()
        assert backbone is not None
        with torch.no_grad():
            features: Tensor = backbone(inputs)
        return features

    def _evaluate(self, batch: Batch, batch_idx: int) -> None:
        if self.heads is None:
            super()._evaluate(batch, batch_idx)
            return
        inputs, labels = batch
        every = torch.stack(list(self.heads.logits(self._features(inputs))))
        losses = torch.stack([functional.cross_entropy(logits, labels, reduction="none") for logits in every])
        self._evaluated.append((losses, every.argmax(2), labels))
        for metrics, logits in zip(self._metrics_of_heads(), every, strict=True):
            metrics.add(logits, labels)

    def _computed_evaluation(self) -> dict[Quantity, Tensor]:
        if self.heads is None:
            return super()._computed_evaluation()
        self._val_means = [self._means_of(number) for number in range(len(self.heads.rates))]
        if not self.trainer.sanity_checking:
            self.heads.choose(best_of(self._val_means))
            self._logged_group = self.heads.chosen
        for batch_idx, (losses, predicted, labels) in enumerate(self._evaluated):
            own, no_images = losses[self.heads.chosen], losses.new_empty(len(labels), 0)
            self.eval_charts.add(no_images, own, labels, predicted[self.heads.chosen], batch_idx)
        self._evaluated.clear()
        of_heads = self._metrics_of_heads()
        self.eval_charts.compute(of_heads[self.heads.chosen])
        for metrics in of_heads:
            metrics.reset()
        return self._val_means[self.heads.chosen]

    def _metrics_of_heads(self) -> list[EvaluationMetrics]:
        assert self._head_metrics is not None
        return [each for each in self._head_metrics if isinstance(each, EvaluationMetrics)]

    def _means_of(self, number: int) -> dict[Quantity, Tensor]:
        for losses, predicted, labels in self._evaluated:
            self.eval_loss.update(losses[number])
            self.eval_accuracy.update(predicted[number], labels)
        return self._computed_means()

    def _more_metrics(self, stage: Stage) -> dict[str, Tensor | float]:
        more = super()._more_metrics(stage)
        if self.heads is None or stage != "val":
            return more
        return more | {
            f"{metric_name('val', quantity)}_lr_{rate:g}": value
            for rate, means in zip(self.heads.rates, self._val_means, strict=True)
            for quantity, value in means.items()
        }

    def _is_fresh_run(self) -> bool:
        return self.trainer.ckpt_path is None
