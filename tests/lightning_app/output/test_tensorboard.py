"""TensorBoard's events, read by TensorBoard itself."""

import io
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.data import DataLoader, TensorDataset

from lightning_app.output.tensorboard import RunTensorBoard
from lightning_app.trainer.callbacks import LogLearningRate
from models import CifarNet
from tests.support.scripted import Scripted, data, trainer


def events(logger: RunTensorBoard) -> Any:
    accumulator: Any = EventAccumulator(logger.log_dir, size_guidance={"images": 0, "scalars": 0})
    return accumulator.Reload()


def hyperparameters(read: Any) -> tuple[dict[str, Any], set[str]]:
    """The values of the hyperparameters, and the names of the metrics that are shown with them."""
    plugin = {tag: HParamsPluginData.FromString(content) for tag, content in read.PluginTagToContent("hparams").items()}
    started = plugin["_hparams_/session_start_info"].session_start_info.hparams
    metrics = plugin["_hparams_/experiment"].experiment.metric_infos
    return (
        {name: value.number_value or value.string_value for name, value in started.items()},
        {metric.name.tag for metric in metrics},
    )


@pytest.fixture
def logger(tmp_path: Path) -> RunTensorBoard:
    return RunTensorBoard(str(tmp_path), name="", version="events", default_hp_metric=False)


def test_a_classifier_leaves_pictures_hyperparameters_and_learning_rates(
    logger: RunTensorBoard, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    images: Any = DataLoader(TensorDataset(torch.randn(16, 3, 32, 32), torch.arange(16) % 3), batch_size=4)
    fitted = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=logger, log_every_n_steps=2, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    fitted.fit(CifarNet(learning_rate=0.01, classes=["a", "b", "c"]), images, images)

    logger.log_outcome()

    read = events(logger)
    assert set(read.Tags()["images"]) == {"val_confusion_matrix", "val_most_wrong"}
    picture = Image.open(io.BytesIO(read.Images("val_confusion_matrix")[0].encoded_image_string))
    assert min(picture.size) > 300
    assert read.Images("val_confusion_matrix")[0].step == 8
    assert [(each.step, round(each.value, 6)) for each in read.Scalars("learning_rate")] == [
        (step, 0.01) for step in (2, 4, 6, 8)
    ]
    values, metrics = hyperparameters(read)
    assert values["learning_rate"] == 0.01
    assert {"val_accuracy", "val_loss", "train_loss"} <= metrics


def test_a_model_of_ones_own_has_its_learning_rate_in_the_same_rows(logger: RunTensorBoard, tmp_path: Path) -> None:
    model = Scripted(train_score=[0.5, 0.25])
    fitted = trainer(model, tmp_path, logger=logger, callbacks=[LogLearningRate()], log_every_n_steps=4)

    fitted.fit(model, data(), data())

    read = events(logger)
    rates = [(each.step, round(each.value, 6)) for each in read.Scalars("learning_rate")]
    assert rates == [(3, 0.1), (7, 0.1)]
    assert [each.step for each in read.Scalars("train_score")] == [3, 7]


def test_an_interrupted_run_leaves_its_hyperparameters(logger: RunTensorBoard) -> None:
    logger.log_hyperparams({"depth": 18.0, "classes": ["a", "b"], "nested": {"x": 1}})
    logger.log_metrics({"val_loss": torch.tensor(0.5)}, step=3)

    logger.finalize("interrupted")

    values, metrics = hyperparameters(events(logger))
    assert values == {"depth": 18.0, "classes": "['a', 'b']", "nested/x": 1.0}
    assert metrics == {"val_loss"}
