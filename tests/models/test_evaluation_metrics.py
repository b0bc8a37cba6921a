"""The metrics of an evaluation, beside those of scikit-learn and SciPy on the same predictions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn import metrics as sklearn
from sklearn.calibration import calibration_curve
from torch import Tensor

from models.evaluation_charts import EvaluationCharts
from models.evaluation_metrics import BINS, wilson_interval


class Recorded:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.evaluations: dict[str, Mapping[str, Any]] = {}

    def log_evaluation(self, stage: str, evaluation: Mapping[str, Any], step: int) -> None:
        self.evaluations[stage] = evaluation


def predictions(images: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (images, classes) that are better than chance, and labels of very different frequency."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.arange(1.0, classes + 1) ** 2, images, replacement=True, generator=random)
    logits = torch.randn(images, classes, generator=random) + 1.5 * torch.nn.functional.one_hot(labels, classes)
    return logits, labels


def evaluated(logits: Tensor, labels: Tensor, batch_size: int = 37) -> tuple[EvaluationCharts, Mapping[str, Any]]:
    charts, logger = EvaluationCharts([f"class {number}" for number in range(logits.shape[1])]), Recorded()
    for idx, (some, of_them) in enumerate(zip(logits.split(batch_size), labels.split(batch_size), strict=True)):
        charts.add(torch.zeros(len(some), 0), torch.zeros(len(some)), of_them, some.argmax(1), idx)
        charts.add_logits(some, of_them)
    charts.compute()
    charts.log([logger], "test", step=3)
    return charts, logger.evaluations["test"]


def column(evaluation: Mapping[str, Any], name: str) -> list[Any]:
    return [row[name] for row in evaluation["classes"]]


@pytest.mark.parametrize("classes", [2, 5, 6, 10])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    logits, labels = predictions(1500, classes)
    predicted = logits.argmax(1)

    charts, evaluation = evaluated(logits, labels)

    precision, recall, f1, support = sklearn.precision_recall_fscore_support(labels, predicted)
    assert column(evaluation, "precision") == precision.tolist()
    assert column(evaluation, "recall") == recall.tolist()
    assert column(evaluation, "f1") == f1.tolist()
    assert column(evaluation, "support") == support.tolist()
    assert evaluation["accuracy"]["value"] == sklearn.accuracy_score(labels, predicted)
    macro_f1 = sklearn.f1_score(labels, predicted, average="macro")
    balanced = sklearn.balanced_accuracy_score(labels, predicted)
    # of the means, the last digit may depend on the order of the sum
    assert charts.overall["macro_f1"] == pytest.approx(macro_f1, rel=1e-15, abs=0)
    assert charts.overall["balanced_accuracy"] == pytest.approx(balanced, rel=1e-15, abs=0)
    assert ("top5_accuracy" in evaluation) == (classes > 5)
    if classes > 5:
        top5 = sklearn.top_k_accuracy_score(labels, logits, k=5)
        assert evaluation["top5_accuracy"]["value"] == charts.overall["top5_accuracy"] == top5


def test_a_class_without_images_and_one_that_is_never_predicted_are_as_in_scikit_learn() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 3])
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 4, 4, 1, 0]), 6).float()  # of 2 and 5 there is nothing
    predicted = logits.argmax(1)

    charts, evaluation = evaluated(logits, labels)

    expected = sklearn.precision_recall_fscore_support(labels, predicted, labels=range(6), zero_division=0.0)
    assert [column(evaluation, name) for name in ("precision", "recall", "f1", "support")] == [
        values.tolist() for values in expected
    ]
    there = [0, 1, 3, 4]  # true or predicted, which is what a macro F1 is the mean of
    assert charts.overall["macro_f1"] == pytest.approx(
        sklearn.f1_score(labels, predicted, labels=there, average="macro", zero_division=0.0)
    )
    assert charts.overall["balanced_accuracy"] == pytest.approx(expected[1][[0, 1, 3]].mean())


def test_the_calibration_error_is_that_of_scikit_learns_intervals() -> None:
    logits, labels = predictions(3000, 10)
    confidence, predicted = logits.softmax(1).max(1)

    charts, evaluation = evaluated(logits, labels)

    right = (predicted == labels).numpy()
    accuracy, mean = calibration_curve(right, confidence.numpy(), n_bins=BINS)
    intervals = evaluation["calibration"]
    assert [row["accuracy"] for row in intervals] == pytest.approx(accuracy.tolist(), abs=1e-12)
    assert [row["confidence"] for row in intervals] == pytest.approx(mean.tolist(), abs=1e-6)
    weights = np.histogram(confidence.numpy(), BINS, (0, 1))[0]
    error = (weights[weights > 0] * np.abs(accuracy - mean)).sum() / len(labels)
    assert charts.overall["calibration_error"] == pytest.approx(error, abs=1e-6)


def test_an_image_of_probability_one_is_in_the_last_interval() -> None:
    _, evaluation = evaluated(torch.tensor([[200.0, 0.0], [200.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1, 0]))

    (interval,) = evaluation["calibration"]
    assert (interval["images"], interval["to"], interval["accuracy"]) == (3, 1.0, pytest.approx(2 / 3))


@pytest.mark.parametrize("batch_size", [1, 7, 600, 3000])
def test_the_values_do_not_depend_on_the_batches(batch_size: int) -> None:
    logits, labels = predictions(1500, 7)

    assert evaluated(logits, labels, batch_size)[1] == evaluated(logits, labels)[1]


def test_a_network_that_has_diverged_has_metrics() -> None:
    charts, evaluation = evaluated(torch.full((6, 7), float("nan")), torch.arange(6))

    assert evaluation["accuracy"]["right"] == 1  # argmax takes the first one
    assert charts.overall["calibration_error"] == pytest.approx(1 / 6)


def test_without_logits_there_is_what_the_predicted_labels_say() -> None:
    charts, logger = EvaluationCharts(["a", "b"]), Recorded()
    charts.add(torch.zeros(3, 0), torch.zeros(3), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 0)
    charts.compute()
    charts.log([logger], "val", step=3)

    assert charts.overall.keys() == {"macro_f1", "balanced_accuracy"}
    assert logger.evaluations["val"].keys() == {
        "images", "confidence", "accuracy", "macro_f1", "balanced_accuracy", "classes"
    }  # fmt: skip


@pytest.mark.parametrize(("successes", "count"), [(0, 7), (7, 7), (169, 200), (167, 200), (1, 3), (9999, 10_000)])
def test_intervals_are_those_of_scipy(successes: int, count: int) -> None:
    expected = binomtest(successes, count).proportion_ci(method="wilson")

    assert wilson_interval(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_metrics_of_the_last_validation_come_back_with_a_checkpoint() -> None:
    logits, labels = predictions(300, 7)
    charts, expected = evaluated(logits, labels)
    charts.add(torch.zeros(300, 0), torch.zeros(300), labels, logits.argmax(1), 0)
    charts.add_logits(logits, labels)
    charts.compute()
    resumed, logger = EvaluationCharts(charts._classes), Recorded()

    resumed.load_resume_state(charts.resume_state())
    resumed.log([logger], "val", step=3)

    assert logger.evaluations["val"] == expected
