"""The strategy of a Trainer and its options; two processes in step; where SyncBatchNorm is refused."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytorch_lightning as pl
from pytorch_lightning.accelerators import Accelerator, CPUAccelerator, CUDAAccelerator
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy, StrategyRegistry
from torch import nn

from lightning_app.distributed.strategy import TIMEOUT, check_sync_batchnorm, ddp_defaults, ddp_options, without_buffers
from lightning_app.errors import UsageError
from models import CifarNet, ResNetTransfer
from tests.support.commands import environment

# A training with two processes. Of 9 validation images one has 5 and the other 4, in 3 and 2 batches of 2.
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset
from lightning_app.distributed.strategy import ddp_defaults
from models import CifarNet, ResNetTransfer

class SaveOutcome(pl.Callback):
    def on_fit_end(self, trainer, module):
        state = b"".join(value.numpy().tobytes() for value in module.state_dict().values())
        outcome = {"options": trainer.strategy._ddp_kwargs, "steps": trainer.global_step,
                   "weights": hashlib.sha256(state).hexdigest()}
        Path(f"rank{trainer.global_rank}.json").write_text(json.dumps(outcome))

def images(count):
    random = torch.Generator().manual_seed(count)
    pixels = torch.randn(count, 3, 64, 64, generator=random)
    return DataLoader(TensorDataset(pixels, torch.arange(count) % 2), batch_size=2)

torch.set_num_threads(1)
torch.manual_seed(0)
model = ResNetTransfer(weights="none", learning_rate=0.01)
with ddp_defaults(model):
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, max_epochs=2, accumulate_grad_batches=int(sys.argv[1]), callbacks=[SaveOutcome()],
        logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )
trainer.fit(model, images(16), images(9))
trainer.validate(model, images(9), ckpt_path="best", verbose=False)
trainer.test(model, images(9), ckpt_path="best", verbose=False)
"""


def resnet(*, frozen: bool) -> ResNetTransfer:
    return ResNetTransfer(weights="none", freeze_backbone=frozen)


def trainer(**settings: object) -> pl.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(**{"accelerator": "cpu"} | quiet | settings)  # type: ignore[arg-type]  # settings of all types


def strategy(model: pl.LightningModule, **settings: object) -> Strategy:
    with ddp_defaults(model):
        return trainer(**settings).strategy


def test_one_process_uses_no_ddp() -> None:
    assert isinstance(strategy(CifarNet(), devices=1), SingleDeviceStrategy)


@pytest.mark.parametrize(
    "settings", [{"devices": 2}, {"devices": 2, "strategy": "ddp"}, {"devices": 1, "num_nodes": 2}]
)
@pytest.mark.parametrize("model", [CifarNet(), resnet(frozen=False), resnet(frozen=True)], ids=["cifar", "all", "head"])
def test_several_processes_use_ddp_with_our_options(model: pl.LightningModule, settings: dict[str, object]) -> None:
    found = strategy(model, **settings)

    assert type(found) is DDPStrategy
    assert found._ddp_kwargs == ddp_options(model)
    assert found._timeout == TIMEOUT
    assert found._start_method == "popen"


def test_only_buffers_of_a_frozen_backbone_are_not_sent() -> None:
    assert without_buffers().items() <= ddp_options(resnet(frozen=True)).items()
    assert not without_buffers().items() & ddp_options(resnet(frozen=False)).items()
    assert list(without_buffers().values()) == [False]


def test_a_models_buffers_are_sent_by_default() -> None:
    assert not without_buffers().items() & ddp_options(pl.LightningModule()).items()


def test_another_strategy_is_left_as_it_is() -> None:
    named = strategy(CifarNet(), devices=2, strategy="ddp_find_unused_parameters_true")
    own = DDPStrategy(static_graph=True)

    assert isinstance(named, DDPStrategy)
    assert named._ddp_kwargs == {"find_unused_parameters": True}
    assert strategy(CifarNet(), devices=2, strategy=own) is own
    assert own._ddp_kwargs == {"static_graph": True}


def test_lightnings_own_ddp_is_restored() -> None:
    before = dict(StrategyRegistry["ddp"])

    with pytest.raises(RuntimeError, match="no Trainer"), ddp_defaults(CifarNet()):
        raise RuntimeError("no Trainer")

    assert StrategyRegistry["ddp"] == before
    found = trainer(devices=2).strategy
    assert isinstance(found, DDPStrategy)
    assert found._ddp_kwargs == {}


@pytest.mark.parametrize("accumulated", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_two_processes_have_the_same_weights(accumulated: int, tmp_path: Path) -> None:
    """Also with accumulated gradients, which DDP's static graph doesn't support."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    command = [sys.executable, str(program), str(accumulated)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["steps"] == 8 // accumulated
    assert first["options"] == ddp_options(resnet(frozen=True))


@pytest.mark.parametrize(
    ("model", "processes", "accelerator", "message"),
    [
        (CifarNet(), 2, CUDAAccelerator(), "CifarNet has no batch norms; leave it out"),
        (resnet(frozen=True), 2, CUDAAccelerator(), "give --model.freeze_backbone false"),
        (resnet(frozen=False), 1, CUDAAccelerator(), "leave it out, or give more processes"),
        (resnet(frozen=False), 2, CPUAccelerator(), "on GPUs only; leave it out, or train on GPUs"),
    ],
)
def test_sync_batchnorm_is_refused_where_it_has_no_effect(
    model: pl.LightningModule, processes: int, accelerator: Accelerator, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        check_sync_batchnorm(model, fake_trainer(processes, accelerator))

    assert str(raised.value).startswith("--trainer.sync_batchnorm true: ")


@pytest.mark.parametrize("nodes", [1, 2])
def test_sync_batchnorm_is_accepted_for_a_fine_tuned_resnet_on_gpus(nodes: int) -> None:
    model = resnet(frozen=False)

    check_sync_batchnorm(model, fake_trainer(2 // nodes, CUDAAccelerator(), nodes))
    converted = TorchSyncBatchNorm().apply(model)

    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules()) == 20
    assert not any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())


def test_sync_batchnorm_of_a_real_trainer_on_the_cpu_is_refused() -> None:
    with pytest.raises(UsageError, match="on GPUs only"):
        check_sync_batchnorm(resnet(frozen=False), trainer(devices=2, sync_batchnorm=True))


def fake_trainer(devices: int, accelerator: Accelerator, nodes: int = 1) -> pl.Trainer:
    """The attributes that the check reads; a real Trainer with GPUs needs GPUs."""
    return cast(pl.Trainer, SimpleNamespace(num_nodes=nodes, num_devices=devices, accelerator=accelerator))
