"""Every image classifier of torchvision by name: its head, its features, and training it frozen and as a whole."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from models import ModelError, ResNetTransfer
from models.architectures import Architecture, names, without_head

# one of each kind of head, and those with particularities: auxiliary classifiers, a normalisation of its own
FAST = ("densenet121", "googlenet", "mnasnet0_5", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1")
# the weights and gradients of these take more than 2 GB
LARGE = {name for name in names() if name in ("regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32")}
CLASSES = ("a", "b", "c")


def several(every: Iterable[str]) -> list[Any]:
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in every]


def size_of(name: str) -> int:
    """The smallest images that a network takes in training, a multiple of 32 pixels."""
    chosen = Architecture(name)
    return chosen.image_size if chosen.takes_one_size_only else max(64, 32 * math.ceil(chosen.least_image_size / 32))


def batches(size: int) -> DataLoader[tuple[Tensor, ...]]:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, size, size, generator=random).to(memory_format=torch.channels_last)
    return DataLoader(TensorDataset(pixels, torch.tensor([0, 2])), batch_size=2)


def use_own_statistics(model: ResNetTransfer) -> None:
    """Gives the batch norms the mean and variance of some images: with those of no images, random weights make 0."""
    for layer in model.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model.network.train()(next(iter(batches(size_of(model.architecture))))[0])


def limit_logits(model: ResNetTransfer) -> None:
    """Scales the head: with large logits, two images of two classes that are exchanged give its bias no gradient."""
    images, _ = next(iter(batches(size_of(model.architecture))))
    with torch.no_grad():
        largest = model.eval()(images).abs().max()
        model.network.get_submodule(model._head).weight.div_(largest.clamp(min=1))
    model.train()


def fit(model: ResNetTransfer, folder: Path) -> None:
    pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, max_steps=1,
    ).fit(model, batches(size_of(model.architecture)))  # fmt: skip


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("name", several(name for name in names() if name not in LARGE))
def test_one_step_trains_the_head_alone_or_all_of_the_network(name: str, frozen: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNetTransfer(
        architecture=name, weights="none", freeze_backbone=frozen, classes=CLASSES, learning_rate=0.1, momentum=0.0
    )
    use_own_statistics(model)
    limit_logits(model)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}

    fit(model, tmp_path)

    after = model.network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    head = {key for key in before if key.startswith(f"{model._head}.")}
    assert head <= changed
    assert all(value.isfinite().all() for value in after.values())
    if frozen:
        assert changed == head
    else:
        learned = {key for key, parameter in model.network.named_parameters()}
        assert len(learned & changed) > 0.5 * len(learned)  # some have no gradient where all values are negative
    assert model.eval()(torch.zeros(1, 3, size_of(name), size_of(name))).shape == (1, 3)


@pytest.mark.parametrize("name", several(names()))
def test_the_last_layer_is_the_head_and_all_others_are_the_backbone(name: str) -> None:
    with torch.device("meta"):  # without memory for the weights
        network, head = Architecture(name).network(7)

    layers = dict(network.named_modules())
    assert list(layers[head].state_dict()) == ["weight", "bias"]
    assert layers[head].weight.shape[0] == 7  # type: ignore[union-attr,index]  # a layer
    assert not [key for key, layer in layers.items() if isinstance(layer, nn.Linear) and layer.out_features == 1000]
    backbone = without_head(network, head).state_dict()
    assert list(backbone) == [key for key in network.state_dict() if not key.startswith(f"{head}.")]


@pytest.mark.parametrize("name", several(name for name in names() if name not in LARGE))
def test_logits_of_features_are_those_of_images(name: str) -> None:
    torch.manual_seed(0)
    model = ResNetTransfer(architecture=name, weights="none", classes=CLASSES)
    use_own_statistics(model)
    model.eval()
    images = torch.randn(2, 3, size_of(name), size_of(name))
    backbone = model.frozen_backbone()

    with torch.no_grad():
        expected = model.logits(images)
        features = None if backbone is None else backbone(images)

    if features is None:
        assert name.startswith("squeezenet")  # whose last layer is a convolution
        return
    assert features.shape == (2, model.feature_width)
    assert torch.equal(model.logits(features), expected)
    assert model.backbone is not model.network


def test_a_resnet_is_the_same_by_its_depth_and_by_its_name() -> None:
    torch.manual_seed(0)
    by_depth = ResNetTransfer(depth=34, weights="none", classes=CLASSES)
    torch.manual_seed(0)
    by_name = ResNetTransfer(architecture="resnet34", weights="none", classes=CLASSES)
    torch.manual_seed(0)
    network = torchvision.models.resnet34(weights=None)
    network.fc = nn.Linear(512, 3)

    one, other, torchvisions = (each.state_dict() for each in (by_depth.network, by_name.network, network))
    assert list(one) == list(other) == list(torchvisions)
    assert all(torch.equal(one[key], other[key]) and torch.equal(one[key], torchvisions[key]) for key in one)


def test_a_network_with_another_normalisation_gets_images_in_it() -> None:
    """Its weights stay under torchvision's names."""
    with torch.device("meta"):
        large, _ = Architecture("efficientnet_v2_l").network(3)
        names_of_torchvision = list(torchvision.models.efficientnet_v2_l(weights=None).state_dict())
    assert list(large.state_dict()) == names_of_torchvision
    seen: list[Tensor] = []
    hook = large._forward_pre_hooks[next(iter(large._forward_pre_hooks))]
    image = torch.rand(1, 3, 4, 4)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    large.renormalise = type(large.renormalise)((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # on the CPU

    seen.extend(hook(large, ((image - mean) / std,)))

    torch.testing.assert_close(seen[0], (image - 0.5) / 0.5)


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "mobilenet_v3_small"])
def test_weights_of_torchvision_from_a_file_fill_the_backbone(name: str, tmp_path: Path) -> None:
    """Also with the names of old files, with auxiliary classifiers, and without counts of batches."""
    torch.manual_seed(1)
    options = {"init_weights": False} if name == "googlenet" else {}
    whole = torchvision.models.get_model(name, weights=None, **options).state_dict()
    old = {key.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in key else key: value
           for key, value in whole.items() if not key.endswith("num_batches_tracked")}  # fmt: skip
    torch.save(old, tmp_path / "old.pth")
    model = ResNetTransfer(architecture=name, weights=str(tmp_path / "old.pth"), classes=CLASSES)
    model.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)

    model.prepare_data()
    model.setup("fit")

    loaded = model.network.state_dict()
    expected = {key for key in loaded if not key.startswith(f"{model._head}.") and "num_batches" not in key}
    assert all(torch.equal(loaded[key], whole[key]) for key in expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "efficentnet_b0"}, "--model.architecture efficentnet_b0: no image classifier of torchvision "
         "has this name; did you mean efficientnet_b0 or "),
        ({"architecture": "fcn_resnet50"}, "--model.architecture fcn_resnet50: no image classifier of torchvision"),
        ({"architecture": ""}, "--model.architecture : no image classifier of torchvision has this name; such as"),
        ({"architecture": "vgg11", "depth": 50}, "--model.depth 50 and --model.architecture vgg11: give one of them"),
        ({"architecture": "squeezenet1_1", "learning_rates": "0.1,0.2"},
         "--model.learning_rates: needs features, and the last layer of squeezenet1_1 is a convolution"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_network_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        ResNetTransfer(weights="none", **settings)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
