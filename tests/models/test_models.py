"""The networks, their settings, their weights and their training metrics."""

import pickle
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import TutorialNet
from models import CifarNet, ModelError, ResNetTransfer
from models.resnet_transfer import Depth
from models.step_metrics import StepMetrics


def images(count: int, size: int = 32) -> DataLoader[tuple[Tensor, ...]]:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 3, size, size, generator=random)
    return DataLoader(TensorDataset(pixels, torch.arange(count) % 2), batch_size=4)


def trainer(folder: Path, **settings: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, **{"max_epochs": 1} | settings,  # type: ignore[arg-type]  # numbers
    )  # fmt: skip


def test_cifar_net_is_the_tutorials_network_layer_for_layer() -> None:
    layers = {name: tuple(value.shape) for name, value in CifarNet().network.state_dict().items() if "weight" in name}

    assert layers == {
        "conv1.weight": (6, 3, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "fc1.weight": (120, 400),
        "fc2.weight": (84, 120),
        "fc3.weight": (10, 84),
    }
    assert sum(parameter.numel() for parameter in CifarNet().parameters()) == 62_006
    assert CifarNet(classes=["a", "b", "c"])(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_cifar_net_computes_what_the_tutorials_network_computes() -> None:
    """Values and gradients, up to the rounding of another memory layout."""
    torch.manual_seed(0)
    network, tutorial = CifarNet().network, TutorialNet()
    tutorial.load_state_dict(network.state_dict())
    pixels, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10

    for each in (network, tutorial):
        functional.cross_entropy(each(pixels), labels).backward()

    torch.testing.assert_close(network(pixels), tutorial(pixels), rtol=1e-5, atol=1e-6)
    for (name, value), expected in zip(network.named_parameters(), tutorial.parameters(), strict=True):
        torch.testing.assert_close(value.grad, expected.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_step_metrics_are_the_mean_over_all_steps_since_the_last_call() -> None:
    metrics = StepMetrics(num_classes=2)
    losses = torch.linspace(0, 1, 600)  # more than are kept between updates of torchmetrics
    for loss in losses:
        metrics.add(loss, logits=torch.tensor([[0.0, 1.0], [1.0, 0.0]]), labels=torch.tensor([1, 1]))

    first = metrics.mean_since_last()
    metrics.add(torch.tensor(5.0), torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    second = metrics.mean_since_last()

    assert first["loss"].item() == pytest.approx(losses.mean().item())
    assert first["accuracy"].item() == pytest.approx(0.5)
    assert (second["loss"].item(), second["accuracy"].item()) == (5.0, 1.0)


def test_step_metrics_continue_from_their_saved_state() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = [torch.rand(3, 4, generator=generator) for _ in range(300)]
    whole, stopped, resumed = (StepMetrics(num_classes=4) for _ in range(3))

    def add(metrics: StepMetrics, numbers: Tensor) -> None:
        metrics.add(numbers.mean(), numbers, numbers.argmin(1) // 2)

    for number, step in enumerate(steps):
        add(whole, step)
        add(stopped if number < 100 else resumed, step)
        if number == 99:
            state = stopped.resume_state()
            resumed.load_resume_state({name: [tensor.clone() for tensor in state[name]] for name in state})

    assert [len(tensors) for tensors in state.values()] == [1, 1, 1]
    assert resumed.mean_since_last() == whole.mean_since_last()
    assert resumed.resume_state() == {"losses": [], "predicted": [], "labels": []}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": float("nan")}, "--learning_rate nan: expected a finite number above 0"),
        ({"learning_rate": float("inf")}, "--learning_rate inf"),
        ({"learning_rate": 0.0}, r"--learning_rate 0\.0"),
        ({"momentum": 1.0}, r"--momentum 1\.0: expected a number from 0 to below 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        CifarNet(**settings)


def weights_file(folder: Path, depth: int = 18, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    torch.save(torchvision.models.get_model(f"resnet{depth}", weights=None).state_dict(), folder / "w.pt")
    return folder / "w.pt"


def test_weights_from_a_file_are_loaded_except_those_of_the_head(tmp_path: Path) -> None:
    file = weights_file(tmp_path)
    model = ResNetTransfer(weights=str(file), classes=["a", "b", "c"])
    model.trainer = trainer(tmp_path)
    head = model.network.fc.weight.clone()

    model.setup("fit")

    loaded, expected = model.network.state_dict(), torch.load(file, weights_only=True)
    assert all(torch.equal(loaded[name], expected[name]) for name in expected if not name.startswith("fc."))
    assert torch.equal(model.network.fc.weight, head)


def test_a_frozen_backbone_keeps_its_weights_and_its_batch_norm_statistics(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNetTransfer(weights="none", freeze_backbone=True, learning_rate=0.1)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}

    trainer(tmp_path).fit(model, images(8))

    after = model.network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_fine_tuning_changes_the_backbone_and_its_statistics(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNetTransfer(weights="none", freeze_backbone=False)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}

    trainer(tmp_path).fit(model, images(8))

    after = model.network.state_dict()
    assert not torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert not torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])


def test_the_learning_rate_decreases_after_seven_epochs(tmp_path: Path) -> None:
    model = ResNetTransfer(weights="none", learning_rate=0.5, classes=["a", "b"])
    fitted = trainer(tmp_path, max_epochs=8, limit_train_batches=1)

    fitted.fit(model, images(4))

    assert fitted.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    model = ResNetTransfer(depth=18, weights=str(weights_file(tmp_path, depth=34)))
    model.trainer = trainer(tmp_path)

    with pytest.raises(ModelError, match=r"w\.pt'.*another network than resnet18: 0 missing, \d+ unknown"):
        model.setup("fit")


@pytest.mark.parametrize("content", [b"", b"no weights", bytes(range(256)) * 9, b"PK\x03\x04", pickle.dumps(print)])
def test_a_file_without_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    model = ResNetTransfer(weights=str(path))
    model.trainer = trainer(tmp_path)

    with pytest.raises(ModelError) as caught:
        model.setup("fit")

    reason = "it isn't a file of torch.save, is damaged, or holds more than tensors and plain values"
    assert str(caught.value) == f"--model.weights {str(path)!r}: can't be read as PyTorch weights ({reason})"


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_depth_has_a_head_for_the_classes(depth: Depth) -> None:
    network = ResNetTransfer(depth=depth, weights="none", classes=["a", "b", "c"]).network

    assert network.fc.out_features == 3
