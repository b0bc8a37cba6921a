"""From a trained network to a file: ONNX or torch.export, with the normalisation of the images inside."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from datamodules.preprocessing import Preprocessing
from lightning_app.errors import UsageError
from lightning_app.export.description import INPUT, OUTPUT
from lightning_app.export.files import Format
from models import ImageClassifier

_EXAMPLES = 2  # images in the example; of one, torch.export would make a constant


class ExportedNetwork(nn.Module):
    """A network that normalises its images itself.

    Args:
        model: The trained network.
        preprocessing: With it, images are uint8 (N, 3, size, size), otherwise float32, as the datamodule makes them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: pl.LightningModule, preprocessing: Preprocessing | None) -> None:
        super().__init__()
        # of the other parts of a classifier, such as its metrics, an exported model has no use
        self.network: nn.Module = model.network if isinstance(model, ImageClassifier) else model
        self.takes_bytes = preprocessing is not None
        if preprocessing is not None:
            self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
            self.register_buffer("std", 255 * torch.tensor(preprocessing.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """From images to logits (N, classes)."""
        if self.takes_bytes:
            images = (images.to(torch.float32) - self.mean) / self.std
        logits: Tensor = self.network(images)
        return logits


def write(network: nn.Module, example: Tensor, kind: Format, file: Path, opset: int | None) -> None:
    """Exports the network for any number of images.

    Args:
        network: In evaluation mode.
        example: An image or several, of the type and the size of the input (N, 3, H, W).
        kind: What kind of file is written.
        file: The file.
        opset: The version of ONNX's operators; None: torch's choice.

    Raises:
        UsageError: torch can't export the network.
    """
    images = example[:1].expand(_EXAMPLES, *example.shape[1:]).contiguous()
    # layers keep no memory format of their training, which an exported program would copy at each call
    network = network.to(memory_format=torch.contiguous_format)
    shapes = {"images": {0: torch.export.Dim("batch", min=1)}}
    with _quiet():
        try:
            program = torch.export.export(network, (images,), dynamic_shapes=shapes)
            if kind == "torch_export":
                torch.export.save(program, file)
                return
            made = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=opset,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
            assert made is not None
            made.save(str(file), external_data=False)
        except Exception as error:  # torch and onnxscript raise errors of many kinds
            reason = " ".join(str(error).split())
            raise UsageError(
                f"export: {type(network.network).__name__} can't be exported ({type(error).__name__}: {reason:.300}); "
                "see torch.export's documentation on what a forward method may do"
            ) from error


def require_opset(file: Path, opset: int | None) -> None:
    """Checks that an ONNX file has the version of operators that was asked for; torch leaves another one unconverted.

    Raises:
        UsageError: It has another one.
    """
    import onnx

    written = next(each.version for each in onnx.load(str(file)).opset_import if not each.domain)
    if opset is not None and written != opset:
        raise UsageError(
            f"--opset {opset}: torch's exporter writes {written} for this network; give that, or leave it out"
        )


def add_metadata(file: Path, values: Mapping[str, str]) -> None:
    """Adds texts to an ONNX file, which onnxruntime has as ``get_modelmeta().custom_metadata_map``."""
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, dict(values))
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress and the hints of torch's exporter, which print dozens of lines."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
