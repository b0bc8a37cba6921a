"""``model.json``: what an exported model is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.preprocessing import Preprocessing
from lightning_app.errors import UsageError
from lightning_app.export.files import DESCRIPTION, Format, check_files

INPUT, OUTPUT = "images", "logits"


@dataclass(frozen=True)
class Description:
    """What a program needs to know of an exported model.

    Args:
        format: How it is exported.
        classes: The names of the outputs.
        preprocessing: How an image file becomes the input; None if the data doesn't say, so that the input is what the
            datamodule makes: float32.
        content: All of ``model.json``.
    """

    format: Format
    classes: Sequence[str]
    preprocessing: Preprocessing | None
    content: dict[str, Any]


def preprocessing_content(preprocessing: Preprocessing | None) -> dict[str, Any] | None:
    if preprocessing is None:
        return None
    return {
        "image_size": preprocessing.size,
        "resizing": preprocessing.resizing,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }


def read_description(folder: Path) -> Description:
    """The description in the folder of an exported model, whose files are compared with their hashes.

    Raises:
        UsageError: A file is missing or has been changed.
    """
    try:
        check_files(folder)
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        given = content["preprocessing"]
        preprocessing = None
        if given is not None:
            mean, std = (tuple(map(float, given[name])) for name in ("mean", "std"))
            preprocessing = Preprocessing(int(given["image_size"]), given["resizing"], mean, std)  # type: ignore[arg-type]  # three each
        return Description(content["format"], list(map(str, content["classes"])), preprocessing, content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"exported model {str(folder)!r}: can't be read ({error}); expected the folder that export has written"
        ) from error
