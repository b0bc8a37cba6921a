"""Several learning rates in one training are separate trainings, of which the best one is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateFinder, ModelCheckpoint
from torch import Tensor

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.errors import UsageError
from lightning_app.trainer.frozen_features import FrozenFeatures
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_loop import StepLoop
from models import ResNetTransfer
from models.errors import ModelError
from tests.lightning_app.trainer.test_frozen_features import Rows, Sees, images
from tests.support.commands import Command
from tests.support.images import make_cifar10

RATES = (0.001, 0.5, 0.05)


@pytest.fixture(autouse=True)
def _own_cache_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


class EndOfTraining(pl.Callback):
    """Keeps the heads, which a model has in training only, and the chosen one."""

    def __init__(self) -> None:
        self.heads: list[list[Tensor]] = []
        self.chosen = -1

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.heads is not None:
            saved = pl_module.heads.saved()
            self.heads = [[value.clone() for value in head] for head in saved["parameters"]]
            self.chosen = saved["chosen"]


def fit(
    data: pl.LightningDataModule, callbacks: list[pl.Callback], resume: Path | None = None, **settings: Any
) -> tuple[ResNetTransfer, Rows]:
    rates = {name: settings.pop(name) for name in ("learning_rate", "learning_rates") if name in settings}
    pl.seed_everything(7)
    model = ResNetTransfer(weights="none", classes=settings.pop("classes", ("dark", "light")), feature_views=2, **rates)
    rows = Rows()
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    trainer = RunTrainer(
        accelerator="cpu", devices=1, logger=rows, callbacks=[ExactResume(), FrozenFeatures(), *callbacks],
        log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=saves,
        **{"max_epochs": 4} | settings,
    )  # fmt: skip
    StepLoop.install(trainer)
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    return model, rows


def val_rows(rows: Rows) -> list[dict[str, float]]:
    return [row for _, row in rows.rows if "val_loss" in row]


def test_each_head_is_that_of_a_training_with_its_learning_rate_alone(image_folder: Path) -> None:
    end = EndOfTraining()
    model, rows = fit(images(image_folder), [end], learning_rates=RATES)

    for number, rate in enumerate(RATES):
        alone, expected = fit(images(image_folder), [], learning_rate=rate)
        assert torch.equal(end.heads[number][0], alone.network.fc.weight), rate  # type: ignore[union-attr,arg-type]
        assert torch.equal(end.heads[number][1], alone.network.fc.bias), rate  # type: ignore[union-attr,arg-type]
        for row, row_alone in zip(val_rows(rows), val_rows(expected), strict=True):
            assert row[f"val_loss_lr_{rate:g}"] == row_alone["val_loss"]
            assert row[f"val_accuracy_lr_{rate:g}"] == row_alone["val_accuracy"]
    assert len({tuple(head[1].tolist()) for head in end.heads}) == len(RATES)
    assert torch.equal(model.network.fc.weight, end.heads[end.chosen][0])  # type: ignore[union-attr,arg-type]


def test_each_validation_reports_the_best_head(image_folder: Path) -> None:
    end, rates = EndOfTraining(), (1e-6, 2e-6, 4e-6)  # too low to classify all images rightly
    _, rows = fit(images(image_folder), [end], learning_rates=rates)

    for row in val_rows(rows):
        best = max(rates, key=lambda rate: (row[f"val_accuracy_lr_{rate:g}"], -row[f"val_loss_lr_{rate:g}"]))
        assert (row["val_accuracy"], row["val_loss"]) == (
            row[f"val_accuracy_lr_{best:g}"],
            row[f"val_loss_lr_{best:g}"],
        )
    assert rates[end.chosen] == best
    last = [row["learning_rate"] for _, row in rows.rows if "learning_rate" in row][-1]
    assert last in rates
    _, alone = fit(images(image_folder), [], learning_rate=best)
    ((shown, captions),), ((expected, expected_captions),) = rows.pictures, alone.pictures
    assert captions == expected_captions != []
    assert (shown == expected).all()


def test_a_checkpoint_is_that_of_an_ordinary_network(image_folder: Path, tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path / "saved", filename="last")
    end = EndOfTraining()
    _, rows = fit(images(image_folder), [saving, end], learning_rates=RATES, max_epochs=2)

    path = tmp_path / "saved/last.ckpt"
    loaded = ResNetTransfer.load_from_checkpoint(path)

    weights = torch.load(path, weights_only=True)["state_dict"]
    assert weights.keys() == ResNetTransfer(weights="none").state_dict().keys()
    assert torch.equal(loaded.network.fc.weight, end.heads[end.chosen][0])  # type: ignore[union-attr,arg-type]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.validate(loaded, datamodule=images(image_folder), verbose=False)
    assert trainer.callback_metrics.keys() == {"val_loss", "val_accuracy", "val_macro_f1", "val_balanced_accuracy"}
    assert trainer.callback_metrics["val_accuracy"].item() == val_rows(rows)[-1]["val_accuracy"]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize("step", [2, 3, 7])
def test_a_run_that_goes_on_is_that_which_never_stopped(image_folder: Path, tmp_path: Path, step: int) -> None:
    saving = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=1, save_top_k=-1, filename="{step}")
    undisturbed, resumed = EndOfTraining(), EndOfTraining()
    model, logged = fit(images(image_folder), [saving, undisturbed], learning_rates=RATES)

    continued, rows = fit(
        images(image_folder), [resumed], learning_rates=RATES, resume=tmp_path / f"saved/step={step}.ckpt"
    )

    assert resumed.chosen == undisturbed.chosen
    for head, expected in zip(resumed.heads, undisturbed.heads, strict=True):
        assert torch.equal(head[0], expected[0])
        assert torch.equal(head[1], expected[1])
    assert [row for row in rows.rows if row[0]] == [row for row in logged.rows if row[0] and row[0] > step]
    assert torch.equal(continued.network.fc.bias, model.network.fc.bias)  # type: ignore[union-attr,arg-type]


def test_a_learning_rate_that_is_far_too_high_changes_no_other_head(image_folder: Path) -> None:
    ends = EndOfTraining(), EndOfTraining()
    model, _ = fit(images(image_folder), [ends[0]], learning_rates=(1e38, 0.05, 0.01))
    fit(images(image_folder), [ends[1]], learning_rates=(0.05, 0.01))

    assert not ends[0].heads[0][0].isfinite().all()
    for head, expected in zip(ends[0].heads[1:], ends[1].heads, strict=True):
        assert torch.equal(head[0], expected[0])
    assert model.network.fc.weight.isfinite().all()  # type: ignore[union-attr,operator]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"callbacks": [Sees()]}, "needs features in place of images, but Sees.on_train_batch_start gets the images"),
        ({"callbacks": [EMAWeightAveraging()]}, "needs features in place of images, but EMAWeightAveraging averages"),
        ({"callbacks": [LearningRateFinder()]}, "LearningRateFinder works with one --learning_rate only"),
        ({"gradient_clip_val": 1.0}, "--trainer.gradient_clip_val 1.0 would clip the norm over all heads"),
    ],
    ids=["callback", "averaging", "finder", "clipping"],
)
def test_what_would_mix_the_heads_is_refused(image_folder: Path, settings: dict[str, Any], problem: str) -> None:
    given = {"callbacks": [], **settings}

    with pytest.raises((ModelError, UsageError), match=f"^--model.learning_rates: {problem}"):
        fit(images(image_folder), given.pop("callbacks"), learning_rates=RATES, **given)


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_without_validation_images_there_is_no_best_one(tmp_path: Path) -> None:
    data = CIFAR10DataModule(str(make_cifar10(tmp_path / "cifar10", 8)))

    with pytest.raises(ModelError, match=r"^--model.learning_rates: needs validation images"):
        fit(data, [], learning_rates=RATES, classes=[str(number) for number in range(10)])


def test_a_trainer_without_features_is_refused(image_folder: Path) -> None:
    trainer = pl.Trainer(accelerator="cpu", logger=False, barebones=True, max_epochs=1)
    model = ResNetTransfer(weights="none", learning_rates=RATES)

    with pytest.raises(ModelError, match=r"^--model.learning_rates: needs features in place of images"):
        trainer.fit(model, datamodule=ImageFolderDataModule(str(image_folder), image_size=32, num_workers=0))


def test_the_program_keeps_tests_and_uses_the_best_head(run: Command, image_folder: Path) -> None:
    flags = ("--model", "ResNetTransfer", "--model.weights", "none", "--data_path", str(image_folder))
    flags += ("--data.image_size", "32", "--num_epochs", "2", "--model.learning_rates", "0.1,0.01")

    done = run("fit", *flags)
    predicted = run("predict", "--data_path", str(image_folder / "val"))
    refused = run("fit", *flags[:-1], "0.1,0.1", "--output_dir", "other")

    assert (done.status, done.err) == (0, "")
    rows = [json.loads(line)["metrics"] for line in Path("outputs/metrics.jsonl").read_text().splitlines()]
    (_, last) = (row for row in rows if "val_loss" in row)
    assert {"val_accuracy_lr_0.1", "val_loss_lr_0.1", "val_accuracy_lr_0.01", "val_loss_lr_0.01"} <= last.keys()
    assert last["val_accuracy"] == max(last["val_accuracy_lr_0.1"], last["val_accuracy_lr_0.01"])
    evaluation = json.loads(Path("outputs/val_metrics.json").read_text())
    assert evaluation["accuracy"]["value"] == last["val_accuracy"]
    assert evaluation["images"] == sum(interval["images"] for interval in evaluation["calibration"])
    right = sum(interval["images"] * interval["accuracy"] for interval in evaluation["calibration"])
    assert round(right) == evaluation["accuracy"]["right"]  # of the chosen head alone
    assert predicted.status == 0
    assert refused.status == 2
    assert "--model.learning_rates 0.1,0.1: 0.1 is there twice; give each learning rate once" in refused.err


@pytest.mark.slow
def test_two_processes_train_each_head_as_alone(run: Command, image_folder: Path) -> None:
    flags = ("--model", "ResNetTransfer", "--model.weights", "none", "--data_path", str(image_folder))
    flags += ("--data.image_size", "32", "--batch_size", "5", "--num_epochs", "2", "--trainer.accelerator", "cpu")
    flags += ("--trainer.devices", "2", "--output_dir")
    assert run("fit", *flags, "both", "--model.learning_rates", "0.1,0.01").status == 0

    heads = torch.load("both/checkpoints/last.ckpt", weights_only=True)["heads"]["parameters"]
    for rate, head in zip(("0.1", "0.01"), heads, strict=True):
        assert run("fit", *flags, f"by{rate}", "--learning_rate", rate).status == 0
        alone = torch.load(f"by{rate}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        assert torch.equal(head[0], alone["network.fc.weight"])
