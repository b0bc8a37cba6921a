"""TensorBoard's events of a run: metrics, charts as pictures, and the hyperparameters with what came of them."""

import io
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lightning_fabric.utilities.logger import _flatten_dict, _sanitize_params
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.azureml.drawings import confusion_matrix_png, images_png
from lightning_app.azureml.pictures import as_picture


class RunTensorBoard(TensorBoardLogger):
    """Lightning's logger, which accepts the charts that ``AzureMLRunLogger`` accepts, and logs the run's outcome."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_values: dict[str, float] = {}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        self._last_values |= {
            name: float(value)
            for name, value in metrics.items()
            if name != "epoch" and (isinstance(value, numbers.Real) or getattr(value, "ndim", None) == 0)
        }

    @rank_zero_only
    def log_confusion_matrix(self, name: str, matrix: Any, class_labels: Sequence[str], step: int = 0) -> None:
        """``matrix``: counts, (C, C), a row per true class, a column per predicted class."""
        self._add_picture(name, confusion_matrix_png(np.asarray(matrix), class_labels, f"{name}, step {step:,}"), step)

    @rank_zero_only
    def log_images(self, name: str, images: Any, captions: Sequence[str], step: int = 0) -> None:
        """``images``: (N, H, W, 3), floats from 0 to 1, drawn as one picture with a caption each."""
        pictures = [as_picture(image) for image in images]
        self._add_picture(name, images_png(pictures, captions, f"{name}, step {step:,}"), step)

    @rank_zero_only
    def log_evaluation(self, stage: str, evaluation: Mapping[str, Any], step: int = 0) -> None:
        """``evaluation``: its ``classes`` become a table of texts, a row for each class."""
        rows = evaluation.get("classes", ())
        if rows:
            lines = [[*rows[0]], ["---"] * len(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
            self.experiment.add_text(f"{stage}_by_class", "\n".join(f"| {' | '.join(line)} |" for line in lines), step)

    @rank_zero_only
    def log_outcome(self) -> None:
        """Logs the hyperparameters and the names of the metrics, of which TensorBoard then shows the last values.

        Called once, when a run ends: TensorBoard shows the first such event of a run only.
        """
        if self.hparams and self._last_values:
            from torch.utils.tensorboard.summary import hparams  # it loads tensorboard, which takes a second

            writer = self.experiment._get_file_writer()
            params = _sanitize_params(_flatten_dict(dict(self.hparams)))
            for event in hparams(params, self._last_values):  # type: ignore[no-untyped-call]  # of torch
                writer.add_summary(event)
            self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status != "success":  # otherwise a test may follow
            self.log_outcome()
        super().finalize(status)

    def _add_picture(self, name: str, png: bytes, step: int) -> None:
        with Image.open(io.BytesIO(png)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self.experiment.add_image(name, pixels, step, dataformats="HWC")


def _cell(value: Any) -> str:
    """As text that Markdown shows as it is."""
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return "".join(f"&#{ord(letter)};" if letter in "|<>&*_`[]\\\n" else letter for letter in text)
