"""Charts: images of any kind, confusion matrices, tables and lists, and names that stay apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassConfusionMatrix

from lightning_app.azureml import drawings
from lightning_app.azureml.chart_files import ChartFile
from lightning_app.azureml.drawings import confusion_matrix_png, images_png, shortened
from lightning_app.azureml_logger import AzureMLRunLogger
from tests.lightning_app.test_azureml_logger import run_script
from tests.support.jobs import Job


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLRunLogger:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    return AzureMLRunLogger(tmp_path)


@pytest.fixture
def charts(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The chart files, by name and number."""
    return lambda: [json.loads(path.read_text()) for path in sorted((tmp_path / "charts").glob("*.json"))]


def picture(tmp_path: Path, name: str = "image") -> Image.Image:
    with Image.open(tmp_path / "charts" / f"{name}-step0.png") as opened:
        opened.load()
        return opened


RED = np.zeros((4, 6, 3), np.uint8)
RED[:, :, 0] = 255
CLEAR = np.dstack([RED, np.full((4, 6), 128, np.uint8)])
GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
TENSORS = torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn
IMAGES: dict[str, tuple[Any, np.ndarray]] = {
    "(H, W)": (GREY, GREY),
    "(1, H, W)": (GREY[None], GREY),
    "(H, W, 1)": (GREY[:, :, None], GREY),
    "(H, W, 3)": (RED, RED),
    "(3, H, W)": (np.moveaxis(RED, 2, 0), RED),
    "(H, W, 4)": (CLEAR, CLEAR),
    "(4, H, W)": (np.moveaxis(CLEAR, 2, 0), CLEAR),
    "(1, 3, H, W)": (np.moveaxis(RED, 2, 0)[None], RED),
    "(3, 3, 3)": (
        np.eye(3, dtype=np.uint8)[:, :, None] * RED[0, 0] // 1,
        np.eye(3, dtype=np.uint8)[:, :, None] * RED[0, 0],
    ),
    "list": ((GREY / 255).tolist(), GREY),
    "bool": (GREY > 100, np.where(GREY > 100, 255, 0).astype(np.uint8)),
    "int64": (torch.from_numpy(GREY).long(), GREY),
    "float16": (np.float16([[0, 1]]), np.uint8([[0, 255]])),
    "with a gradient": (torch.tensor([[0.0, 1.0]], requires_grad=True), np.uint8([[0, 255]])),
    "rounded": (np.float32([[-1e-6, 1.0001]]), np.uint8([[0, 255]])),
    "uint16": (GREY.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257),
    "uint16, in colour": (RED.astype(np.uint16) * 257, RED),
    **{str(dtype): (torch.tensor([[0.0, 1.0]]).to(dtype), np.uint8([[0, 255]])) for dtype in TENSORS},
    "PIL grey": (Image.fromarray(GREY), GREY),
    "PIL float": (Image.fromarray(np.float32([[0, 1]])), np.uint8([[0, 255]])),
    "PIL of 16 bits": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY.astype(np.uint16) * 257),
    "PIL of 32 bits": (Image.fromarray(GREY.astype(np.int32) * 257), GREY.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_of_any_kind_is_drawn(logger: AzureMLRunLogger, tmp_path: Path, kind: str) -> None:
    image, expected = IMAGES[kind]

    logger.log_image("image", image)

    found = np.asarray(picture(tmp_path))
    assert found.shape == expected.shape
    assert (found == expected).all()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_an_image_of_each_mode_looks_the_same(logger: AzureMLRunLogger, tmp_path: Path, mode: str) -> None:
    white = Image.new("RGB", (6, 4), (255, 255, 255))
    steps = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}

    logger.log_image("image", white.convert(steps.get(mode, mode)).convert(mode))

    assert picture(tmp_path).convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_a_photo_is_turned_and_its_colours_are_kept(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(RED).convert("CMYK").save(tmp_path / "photo.jpg", exif=exif)

    logger.log_image("image", tmp_path / "photo.jpg")

    found = picture(tmp_path)
    assert (found.mode, found.size) == ("RGB", (4, 6))
    assert found.getpixel((2, 2))[0] > 200  # type: ignore[index]


def test_nan_is_drawn_black_with_one_line(
    logger: AzureMLRunLogger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger.log_image("image", torch.tensor([[torch.nan, 1.0]]))

    assert np.asarray(picture(tmp_path)).tolist() == [[0, 255]]
    assert [record.getMessage() for record in caplog.records] == [
        "An image of shape (1, 2) has 1 values that are NaN; they are drawn black."
    ]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2), 1.5), r"\(2, 2\) and type float64: expected .* 0 to 1; found values from 1.5 to 1.5$"),
        (np.full((2, 2), np.inf), r"found values from inf to inf$"),
        (np.full((2, 2), -1), r"found values from -1 to -1$"),
        (torch.zeros(2, 8, 8), r"shape \(2, 8, 8\) and type float32: expected \(H, W\), \(H, W, C\) or \(C, H, W\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.zeros((2, 2), complex), "type complex128: expected"),
        (np.array(["a"]), "shape \\(1,\\)"),
        ("missing.png", r"in 'missing.png' can't be read"),
        (__file__, r"can't be read"),
        (None, "type object: expected"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(logger: AzureMLRunLogger, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        logger.log_image("image", image)

    assert str(raised.value).startswith("image 'image' ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 8, 8, 3)),
        torch.zeros(3, 3, 8, 8, dtype=torch.bfloat16),
        torch.zeros(3, 1, 8, 8),
        torch.zeros(3, 8, 8),
        [Image.new("CMYK", (8, 8)), np.zeros((4, 9)), torch.zeros(3, 5, 5)],
        [Image.new("I;16", (8, 8)), Image.new("P", (8, 8)), Image.new("LA", (8, 8))],
    ],
    ids=["NHWC", "NCHW", "N1HW", "NHW", "list", "modes"],
)
def test_images_are_drawn_together(logger: AzureMLRunLogger, charts: Any, images: Any) -> None:
    logger.log_images("with captions", images, ["a", "$b^", "名前"], 1)
    logger.log_images("without", images)

    assert [chart["kind"] for chart in charts()] == ["image"] * 2


def test_a_batch_is_an_image_too(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    logger.log_image("image", torch.zeros(5, 3, 8, 8))

    assert picture(tmp_path).width > 500


def test_many_images_are_several_pictures(logger: AzureMLRunLogger, charts: Any) -> None:
    logger.log_images("image", torch.rand(65, 4, 4), range(65))

    assert [chart.get("number") for chart in charts()] == [2, None]


def test_images_need_as_many_captions(logger: AzureMLRunLogger) -> None:
    with pytest.raises(ValueError, match=r"^images 'i': got 2 images and 1 captions; expected N of each, at least 1$"):
        logger.log_images("i", np.zeros((2, 4, 4)), ["a"])


@pytest.mark.parametrize(
    "names",
    [
        ["val/loss", "val_loss", "val loss", "val\\loss", "val__loss"],
        ["Loss", "loss", "LOSS"],
        ["x" * 150, "x" * 151, "x" * 5000],
        ["é", "e\u0301", "名", "", ".", "..", "../../x", "\udc80", "a\n"],
        ["a-step0", "a", "a-2", "a-step0-2"],
    ],
)
def test_charts_of_other_names_are_kept_apart(
    logger: AzureMLRunLogger, charts: Any, tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        logger.log_list(name, [name])
        logger.log_image(name, GREY)

    assert sorted(chart["name"] for chart in charts()) == sorted(names * 2)
    files = list((tmp_path / "charts").iterdir())
    assert len({path.name.lower() for path in files}) == 3 * len(names)  # two charts and a picture each
    assert max(len(path.name) for path in files) < 200


def test_a_chart_is_kept_when_its_name_and_step_come_again(logger: AzureMLRunLogger, charts: Any) -> None:
    for fold in range(3):
        logger.log_confusion_matrix("confusion", [[fold, 1], [0, 2]])
        logger.log_image("image", GREY + fold)
    once = charts()
    for fold in range(3):  # as a resumed run repeats it
        logger.log_confusion_matrix("confusion", [[fold, 1], [0, 2]])
        logger.log_image("image", GREY + fold)

    assert charts() == once
    matrices = [chart["matrix"][0][0] for chart in once if chart["kind"] == "confusion_matrix"]
    assert sorted(matrices) == [0, 1, 2]
    assert len({chart["picture"] for chart in once if chart["kind"] == "image"}) == 3


def test_charts_of_one_name_and_step_arrive_all(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import datetime, enum, numpy as np, torch
        for fold in range(3):
            logger.log_confusion_matrix("confusion", torch.tensor([[fold, 1], [0, 2]]), ["cat", "dog"], step=5)
            logger.log_list("losses", torch.tensor([0.5, fold]), step=5)
        logger.log_table("odd", {
            1: torch.tensor([1, 2]), "1": [np.float32(0.5), float("nan")], "date": [datetime.date(2024, 1, 2), None],
            "nested": [{"a": [1]}, (1, 2)], "large": [10**30, True],
        })
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    run = job.service.run(job.run_id)
    assert sorted(row.data["losses"] for row in run.metrics["losses"]) == [0.0, 0.5, 0.5, 0.5, 1.0, 2.0]
    assert len(run.metrics["confusion"]) == 3
    found = [json.loads(content)["data"]["matrix"][0][0] for content in run.artifacts.values()]
    assert sorted(found) == [0, 1, 2]
    assert [row.data for row in run.metrics["odd"]] == [
        {"1": 1, "1 (2)": 0.5, "date": "2024-01-02", "nested": '{"a": [1]}', "large": str(10**30)},
        {"1": 2, "1 (2)": None, "date": None, "nested": "[1, 2]", "large": True},
    ]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (torch.tensor([[3, 1], [0, 2]]), [[3, 1], [0, 2]]),
        (torch.tensor([[3.0, 1.0], [0.0, 2.0]], dtype=torch.bfloat16), [[3, 1], [0, 2]]),
        (np.array([[True, False], [False, True]]), [[1, 0], [0, 1]]),
        ([[0.75, 0.25], [0.0, 1.0]], [[0.75, 0.25], [0.0, 1.0]]),
        ([[2.5, 0.5], [0.0, 1.0]], [[2.5, 0.5], [0.0, 1.0]]),
        ([[1.0, 0.0], [np.nan, np.nan]], [[1.0, 0.0], [None, None]]),
        ([[np.nan] * 2] * 2, [[None] * 2] * 2),
        ([[3.0, 0.0], [np.nan, np.nan]], [[3.0, 0.0], [None, None]]),
    ],
)
def test_a_confusion_matrix_holds_counts_or_shares(
    logger: AzureMLRunLogger, charts: Any, matrix: Any, expected: Any
) -> None:
    logger.log_confusion_matrix("confusion", matrix, ["cat", "$dog_"])

    assert repr(charts()[0]["matrix"]) == repr(expected)


@pytest.mark.parametrize("normalize", ["none", "true", "pred", "all"])
def test_the_matrices_of_torchmetrics_are_kept(logger: AzureMLRunLogger, charts: Any, normalize: Any) -> None:
    metric = MulticlassConfusionMatrix(3, normalize=normalize)
    metric.update(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 0, 2]))
    matrix = metric.compute()

    logger.log_confusion_matrix("confusion", matrix)

    found = np.array(charts()[0]["matrix"], float)
    assert np.allclose(found, matrix.numpy())
    assert charts()[0]["class_labels"] == ["0", "1", "2"]


@pytest.mark.parametrize("classes", [1, 100, 1000])
def test_a_matrix_of_any_size_is_drawn(logger: AzureMLRunLogger, charts: Any, tmp_path: Path, classes: int) -> None:
    logger.log_confusion_matrix("confusion", np.eye(classes, dtype=int), ["class " + "x" * 300] * classes)

    assert len(charts()[0]["matrix"]) == classes
    # most of the figure is the matrix, whatever the labels are: a row of it goes through the middle
    assert len(np.unique(np.asarray(picture(tmp_path, "confusion").convert("L")))) > 10


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], r"shape \(1, 2\); expected \(2, 2\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (5, r"shape \(\); expected"),
        ([[-1, 2], [0, 1]], "0 or more; got int64 from -1 to 2"),
        ([[np.inf, 2], [0, 1]], "0 or more; got float64 from 0.0 to inf"),
        ([["a", "b"], ["c", "d"]], "expected counts or shares"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(logger: AzureMLRunLogger, matrix: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        logger.log_confusion_matrix("m", matrix, ["a", "b"])


def test_tables_and_lists_hold_values_of_any_kind(logger: AzureMLRunLogger, charts: Any) -> None:
    logger.log_table("a", {"tensor": torch.tensor([1.5, torch.nan]), 2: (np.int64(3), None)}, step=np.int64(7))  # type: ignore[arg-type]
    logger.log_list("b", torch.tensor([[1, 2]]), step=None)  # type: ignore[arg-type]

    assert charts() == [
        {"kind": "table", "name": "a", "step": 7, "columns": {"tensor": [1.5, "NaN"], "2": [3, None]}},
        {"kind": "list", "name": "b", "step": 0, "values": [[1, 2]]},
    ]


@pytest.mark.parametrize("values", [3, "text", torch.tensor(1), None])
def test_what_is_no_list_is_refused(logger: AzureMLRunLogger, values: Any) -> None:
    with pytest.raises(ValueError, match=r"^list 'b': got \w+; expected several values$"):
        logger.log_list("b", values)


def test_a_damaged_chart_stays_beside_the_next_one(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir(parents=True)
    (tmp_path / "charts" / "b-step0.json").write_text("{")

    logger.log_list("b", [1])

    assert ChartFile.read(tmp_path / "charts" / "b-step0-2.json").content["values"] == [1]


def test_long_names_with_a_common_beginning_stay_apart() -> None:
    names = [f"a_class_with_a_long_name_{number}" for number in range(100)]

    short = {shortened(name, 24) for name in names}

    assert len(short) == 100
    assert max(map(len, short)) == 24
    assert shortened("bee", 24) == "bee"


def test_a_chart_is_drawn_once_for_several_loggers_and_again_when_anything_in_it_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn, draw = [], drawings.as_png
    monkeypatch.setattr(drawings, "as_png", lambda figure: drawn.append(1) or draw(figure))
    matrix, image = np.eye(2), Image.new("RGB", (4, 4))

    first = confusion_matrix_png(matrix, ["a", "b"], "title, step 1")
    assert confusion_matrix_png(matrix.copy(), ["a", "b"], "title, step 1") == first
    assert len(drawn) == 1
    confusion_matrix_png(matrix * 2, ["a", "b"], "title, step 1")
    confusion_matrix_png(matrix * 2, ["a", "c"], "title, step 1")
    assert len(drawn) == 3

    picture = images_png([image], ["a"], "title, step 1")
    assert images_png([image.copy()], ["a"], "title, step 1") == picture
    assert len(drawn) == 4
    images_png([Image.new("RGB", (4, 4), "red")], ["a"], "title, step 1")
    images_png([image], ["b"], "title, step 1")
    assert len(drawn) == 6
