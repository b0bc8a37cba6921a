"""A model and data that don't fit each other are refused before they are used."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.command_line.matching import require_given_classes, require_image_size, require_same_classes
from lightning_app.errors import UsageError
from models import CifarNet, ResNetTransfer
from tests.support.commands import Command
from tests.support.own_modules import Points

COMPOSED, DECOMPOSED = "D\u00e4mmerung", "Da\u0308mmerung"


class NamesItsClasses(pl.LightningModule):
    """Its parameter has no default."""

    def __init__(self, classes: list[str]) -> None:
        super().__init__()


def test_a_model_for_images_of_one_size_gets_no_others() -> None:
    with pytest.raises(
        UsageError, match=r"--data.image_size 224: CifarNet is for images of 32 x 32 pixels; give --data"
    ):
        require_image_size(CifarNet(), ImageFolderDataModule())

    require_image_size(CifarNet(), ImageFolderDataModule(image_size=32))
    require_image_size(CifarNet(), CIFAR10DataModule())
    require_image_size(ResNetTransfer(), CIFAR10DataModule())
    require_image_size(CifarNet(), Points())


def test_classes_that_the_user_gives_are_the_datas_or_refused() -> None:
    data = CIFAR10DataModule()

    with pytest.raises(
        UsageError, match=r"--model\.classes a, b: the data has the classes disc, ring, square, frame, tr"
    ):
        require_given_classes(["a", "b"], ResNetTransfer(), data)
    with pytest.raises(UsageError, match=r"--model\.classes a: the data has the classes"):
        require_given_classes(["a"], NamesItsClasses(["a"]), data)

    require_given_classes(list(data.classes), ResNetTransfer(), data)
    require_given_classes(["0", "1"], ResNetTransfer(), data)  # the default
    require_given_classes(["a", "b"], pl.LightningModule(), data)  # has no such parameter
    require_given_classes(["a", "b"], ResNetTransfer(), Points())


def test_the_normalisation_of_a_name_makes_no_other_class(tmp_path: Path) -> None:
    for name in (COMPOSED, "light"):
        (tmp_path / "train" / name).mkdir(parents=True)
    checkpoint = tmp_path / "a.ckpt"
    hyperparameters = {"classes": [DECOMPOSED, "light"]}
    torch.save({"hyper_parameters": hyperparameters, "state_dict": {}, "pytorch-lightning_version": "2"}, checkpoint)

    require_same_classes(ImageFolderDataModule(str(tmp_path)), checkpoint)


def test_both_are_refused_before_training(run: Command) -> None:
    size = run("fit", "--data", "ImageFolderDataModule")
    classes = run("fit", "--model.classes", "[a,b]")

    for outcome, words in ((size, "--data.image_size 224: CifarNet"), (classes, "--model.classes a, b: the data has")):
        assert outcome.status == 2
        assert outcome.err.startswith(f"error: {words}"), outcome.err
        assert outcome.err.count("\n") == 1
        assert not Path("outputs").exists()
