"""Weights of classes, label smoothing and mixed images in the training loss."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.check_flags import error_of
from models import ModelError
from models.training_loss import Mixing, TrainingLoss, parsed_weights, weights_of_classes
from tests.lightning_app.test_steps_per_execution import content, rows
from tests.support.images import make_cifar10, make_image_folder
from tests.support.in_process import run_in_process
from tests.support.known_module import difference


class Counted:
    class_counts = (30, 10, 20)


def test_balanced_weights_are_those_of_scikit_learn_and_have_the_mean_1_over_all_images() -> None:
    weights = weights_of_classes("balanced", "abc", Counted())

    # sklearn.utils.class_weight.compute_class_weight("balanced", ...)
    torch.testing.assert_close(weights, torch.tensor([60 / 90, 60 / 30, 60 / 60]))
    assert (weights * torch.tensor(Counted.class_counts)).sum() == pytest.approx(60)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_processes_is_that_of_one_process(smoothing: float) -> None:
    """Their mean, as DDP takes it of the gradients; torch's mean divides by the weights of each process's labels."""
    torch.manual_seed(0)
    loss = TrainingLoss("abc", smoothing, "1,2.5,0.5")
    logits, labels = torch.randn(8, 3), torch.tensor([0, 0, 0, 0, 1, 2, 1, 2])

    loss.count_classes(None, logits)
    whole = loss(logits, labels, 0)[0]
    halves = [loss(logits[part], labels[part], 0)[0] for part in (slice(4), slice(4, 8))]

    torch.testing.assert_close(sum(halves) / 2, whole)
    if not smoothing:
        expected = functional.cross_entropy(logits, labels, reduction="none") * torch.tensor([1, 2.5, 0.5])[labels]
        torch.testing.assert_close(whole, expected.mean())


@pytest.mark.parametrize("kind", ["cifar", "folder"])
def test_the_data_of_this_project_counts_its_training_images(kind: str, tmp_path: Path) -> None:
    data: Any
    if kind == "cifar":
        data = CIFAR10DataModule(data_path=str(make_cifar10(tmp_path / "data", 7)), val_split=5)
    else:
        data = ImageFolderDataModule(data_path=str(make_image_folder(tmp_path / "data", count=4)), image_size=8)
        next((tmp_path / "data/train/dark").iterdir()).unlink()
    data.prepare_data()
    data.setup("fit")

    assert sum(data.class_counts) == (30 if kind == "cifar" else 7)
    assert data.class_counts == ([3, 4] if kind == "folder" else data.class_counts)
    assert len(data.class_counts) == len(data.classes)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixed_images_have_the_shares_of_their_labels(mixup: float, cutmix: float) -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 0])
    images = labels.float().view(4, 1, 1, 1).expand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    kinds = set()

    for _ in range(12):
        mixed, shares = Mixing(mixup, cutmix, 3)(images, labels)

        assert mixed.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(shares.sum(1), torch.ones(4))
        # each pixel is the number of its class, so an image's mean is the mean of its labels
        torch.testing.assert_close(mixed.mean((1, 2, 3)), shares @ torch.arange(3.0))
        kinds.add("mixup" if (mixed.amin((1, 2, 3)) == mixed.amax((1, 2, 3))).all() else "cutmix")

    assert kinds == {name for name, given in (("mixup", mixup), ("cutmix", cutmix)) if given}


def fit(folder: str, *flags: str) -> None:
    usual = ("--batch_size", "8", "--data_path", "cifar", "--data.val_split", "8", "--output_dir", folder)
    done = run_in_process("fit", *usual, "--trainer.accelerator", "cpu", *flags)
    assert (done.status, done.err) == (0, ""), done


def trained(folder: str) -> list[dict[str, Any]]:
    """The rows of the training and of the validation: a run that is continued has two tests."""
    return [row for row in rows(folder) if row["epoch"] is not None]


def test_a_run_with_all_of_it_is_the_same_with_steps_together_and_when_it_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("cifar"), images_per_file=12)
    flags = ("--model.label_smoothing", "0.1", "--model.class_weights", "balanced", "--model.mixup_alpha", "0.2",
             "--model.cutmix_alpha", "1", "--data.augment", "true")  # fmt: skip

    fit("single", *flags, "--steps_per_execution", "1")
    fit("together", *flags)
    fit("parts", *flags, "--num_epochs", "1")
    fit("parts", *flags)

    for other in ("together", "parts"):
        assert not difference(content("single"), content(other))
        assert trained("single") == trained(other)


def test_a_frozen_backbone_computes_mixed_images_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_image_folder(Path("images"))

    done = run_in_process(
        "fit", "--model", "ResNetTransfer", "--model.weights", "none", "--data_path", "images", "--data.image_size",
        "32", "--num_epochs", "1", "--model.mixup_alpha", "0.2", "--trainer.accelerator", "cpu",
    )  # fmt: skip

    assert (done.status, done.err) == (0, "")
    assert "computes each image once" not in done.out


class NoCounts(pl.LightningDataModule):
    pass


@pytest.mark.parametrize(
    ("given", "datamodule", "message"),
    [
        ("balanced", NoCounts(), "--model.class_weights balanced: needs data with the property class_counts"),
        ("balanced", None, "--model.class_weights balanced: needs data with the property class_counts"),
        ("1,2", Counted(), "--model.class_weights: 2 weights for 3 classes; give one for each class"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(given: str, datamodule: Any, message: str) -> None:
    weights = parsed_weights(given)
    assert weights is not None

    with pytest.raises(ModelError) as caught:
        weights_of_classes(weights, "abc", datamodule)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model.class_weights", "even"), "--model.class_weights even: expected balanced, or a number of at least 0"),
        (("--model.class_weights", "1,-2"), "--model.class_weights 1,-2: expected balanced"),
        (("--model.class_weights", "0,0"), "--model.class_weights 0,0: expected balanced"),
        (("--model.class_weights", "1,inf"), "--model.class_weights 1,inf: expected balanced"),
        (("--model.mixup_alpha", "-1"), "--model.mixup_alpha -1.0: expected a finite number of at least 0"),
        (("--model.cutmix_alpha", "-0.5"), "--model.cutmix_alpha -0.5: expected a finite number of at least 0"),
        (("--model.label_smoothing", "1"), "--model.label_smoothing 1.0: expected a number from 0 to below 1"),
        (("--model", "ResNetTransfer", "--model.learning_rates", "0.1,0.2", "--model.mixup_alpha", "0.2"),
         "--model.learning_rates: needs features, and mixed images have none"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_in_one_line(flags: tuple[str, ...], message: str) -> None:
    found = error_of(flags)

    assert found is not None
    assert found.startswith(message)


@pytest.mark.parametrize("weights", ["1,2.5", "[1, 2.5]", [1, 2.5]])
def test_weights_can_be_given_in_several_forms(weights: Any) -> None:
    assert parsed_weights(weights) == (1.0, 2.5)
