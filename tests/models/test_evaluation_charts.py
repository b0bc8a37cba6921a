"""The pictures of an evaluation: which images are in them, and what stands above each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import ImageFolderDataModule
from datamodules.image_files import ImageFiles
from datamodules.sampling import EpochSampler
from models.evaluation_charts import EvaluationCharts
from tests.support.images import make_image_folder

CLASSES = ["ant", "bee", "a_class_with_a_name_that_is_too_long"]


class Recorded:
    """Keeps the charts that it gets."""

    def __init__(self) -> None:
        self.matrices: dict[str, Any] = {}
        self.images: dict[str, tuple[Any, list[str]]] = {}

    def log_confusion_matrix(self, name: str, matrix: Any, class_labels: Any, step: int) -> None:
        self.matrices[name] = matrix

    def log_images(self, name: str, images: Any, captions: Any, step: int) -> None:
        self.images[name] = images, list(captions)


def evaluate(
    charts: EvaluationCharts, losses: list[float], labels: list[int], predicted: list[int], log: bool = True
) -> Recorded:
    count, logger = len(losses), Recorded()
    for start in range(0, count, 4):
        part = slice(start, start + 4)
        charts.add(
            torch.rand(len(labels[part]), 3, 8, 8), torch.tensor(losses[part]), torch.tensor(labels[part]),
            torch.tensor(predicted[part]), start // 4,
        )  # fmt: skip
    charts.compute()
    if log:
        charts.log([logger, object()], "val", step=3)
    return logger


def test_only_wrong_images_are_shown_those_of_the_largest_loss_first() -> None:
    logger = evaluate(EvaluationCharts(CLASSES), [0.9, 2.0, 0.1, 5.0, 1.0], [0, 1, 0, 1, 2], [0, 0, 0, 0, 1])

    images, captions = logger.images["val_most_wrong"]
    assert captions == [
        "bee,\npredicted ant (loss 5)",
        "bee,\npredicted ant (loss 2)",
        "a_class_wit…_is_too_long,\npredicted bee (loss 1)",
    ]
    assert images.shape == (3, 96, 96, 3)


def test_a_single_wrong_image_is_shown() -> None:
    logger = evaluate(EvaluationCharts(CLASSES), [0.9, 2.0, 0.1], [0, 1, 0], [0, 0, 0])

    images, captions = logger.images["val_most_wrong"]
    assert captions == ["bee,\npredicted ant (loss 2)"]
    assert images.shape == (1, 96, 96, 3)


def test_an_image_of_a_loss_that_is_not_a_number_comes_first() -> None:
    logger = evaluate(EvaluationCharts(CLASSES), [0.9, float("nan")], [0, 1], [1, 0])

    assert logger.images["val_most_wrong"][1][0] == "bee,\npredicted ant (loss inf)"


def test_no_wrong_image_gets_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "models")

    logger = evaluate(EvaluationCharts(CLASSES), [0.9, 0.5], [0, 1], [0, 1])

    assert logger.images == {}
    assert logger.matrices["val_confusion_matrix"].sum() == 2
    assert [record.message for record in caplog.records] == ["No picture of val_most_wrong: all 2 images are right."]


def test_wrong_images_have_the_names_of_their_files(tmp_path: Path) -> None:
    make_image_folder(tmp_path)
    data = ImageFolderDataModule(str(tmp_path), batch_size=4, num_workers=0, image_size=8)
    data.setup("validate")
    loader: Any = data.val_dataloader()
    charts = EvaluationCharts(data.classes)
    charts.start(loader)
    labels = [int(label) for _, batch in loader for label in batch]
    wrong = [(label + 1) % len(data.classes) if number in (1, 2) else label for number, label in enumerate(labels)]

    logger = evaluate(charts, [float(number) for number in range(len(labels))], labels, wrong)

    paths = loader.dataset.paths
    assert [caption.splitlines()[0] for caption in logger.images["val_most_wrong"][1]] == [paths[2].name, paths[1].name]
    assert [caption.splitlines()[1] for caption in logger.images["val_most_wrong"][1]] == [
        f"{paths[2].parent.name},",
        f"{paths[1].parent.name},",
    ]


def test_the_share_of_a_process_has_the_indices_of_its_own_images() -> None:
    class Loader:
        batch_size = 2

        class sampler:  # noqa: N801  an attribute of loaders
            @staticmethod
            def indices() -> Tensor:
                return torch.arange(9)[1::2]  # rank 1 of 2

    charts = EvaluationCharts(CLASSES)
    charts.start(Loader())
    charts.add(torch.rand(2, 3, 8, 8), torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), torch.tensor([1, 0]), 1)
    charts.compute()
    logger = Recorded()
    charts.log([logger], "val", 0)

    assert [caption.splitlines()[0] for caption in logger.images["val_most_wrong"][1]] == ["image 7", "image 5"]


def test_the_charts_of_the_last_evaluation_are_logged_after_a_resume() -> None:
    files = ImageFiles([Path(f"{name}.jpg") for name in "abcde"], lambda image: torch.empty(0))
    before, after, logger = EvaluationCharts(CLASSES), EvaluationCharts(CLASSES), Recorded()
    before.start(DataLoader(files, batch_size=4, sampler=EpochSampler(5, shuffle=False)))
    evaluate(before, [0.9, 2.0, 0.1, 5.0, 1.0], [0, 1, 0, 1, 2], [0, 0, 0, 0, 1], log=False)

    after.load_resume_state(before.resume_state())
    after.log([logger], "val", step=3)

    assert logger.matrices["val_confusion_matrix"].sum() == 5
    assert logger.images["val_most_wrong"][1][0] == "d.jpg\nbee,\npredicted ant (loss 5)"
