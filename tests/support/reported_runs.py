"""Run folders for the report, with names that would do harm in a page that didn't escape them."""

import json
from pathlib import Path

import numpy as np
import torch
import yaml

from lightning_app.azureml_logger import AzureMLRunLogger
from models.evaluation_metrics import EvaluationMetrics, evaluation_content

HOSTILE = "<script>document.title='harmed'</script>"
ATTRIBUTE = "\" onload=\"document.title='harmed'\" x='&amp;"
CLASSES = (HOSTILE, ATTRIBUTE, "ant", "bee", "a_class_whose_name_is_" + "very_" * 20 + "long", "kočka 🐈")


def make_run(folder: Path, learning_rate: float = 0.1, classes: tuple[str, ...] = CLASSES) -> Path:
    """A run of three epochs of 20 steps, logged by the logger, with the other files that a training writes."""
    logger, random = AzureMLRunLogger(folder), np.random.default_rng(0)
    for step in range(1, 61):
        logger.log_metrics(
            {"train_loss": 2 / step / learning_rate, HOSTILE: step, "learning_rate": learning_rate}, step
        )
        if step % 20 == 0:
            values = {"val_loss": 3 / step, "val_accuracy": step / 80, "epoch": step // 20 - 1}
            logger.log_metrics(values, step)
    count = len(classes)
    labels = torch.from_numpy(random.integers(0, count, 300))
    logits = torch.from_numpy(random.normal(size=(300, count))) + 2 * torch.nn.functional.one_hot(labels, count)
    confusion = torch.zeros(count, count, dtype=torch.int64)
    confusion.index_put_((labels, logits.argmax(1)), torch.ones(300, dtype=torch.int64), accumulate=True)
    metrics = EvaluationMetrics(count)
    metrics.add(logits, labels)
    logger.log_evaluation("test", evaluation_content(confusion, metrics.compute(), classes), 60)
    logger.log_confusion_matrix("test_confusion_matrix", confusion, classes, 60)
    logger.log_images("test_most_wrong", random.random((3, 32, 32, 3)), classes[:3], 60)
    logger.log_metrics({"test_loss": 0.5, "test_accuracy": 0.75}, 60)
    settings = {"model": {"class_path": HOSTILE, "init_args": {"learning_rate": learning_rate}}, "seed": None}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in history()))
    return folder


def history() -> list[dict[str, object]]:
    start = {"event": "start", "time": "2026-11-29T10:00:00+00:00", "step": 0, "device": "CPU, 1 thread"}
    parts = {"preparation": 1.0, "training": 7.0, "validation": 1.5, "other": 0.5}
    return [
        start | {"command": ["python", "-m", "lightning_app.fit", HOSTILE], "versions": {"torch": ATTRIBUTE}},
        {"event": "end", "step": 60, "seconds": 10.0, "images_per_second": 1234.5, "parts": parts},
        {"event": "test", "parts": {"test": 2.0}},
    ]
