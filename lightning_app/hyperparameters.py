"""``hparams.yaml``: the settings of a run as its loggers were told them."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_app.values import as_plain


def merge_hyperparameters(path: Path, params: Mapping[str, Any] | Namespace) -> None:
    """Adds settings to those that the file holds; a name that is there already gets its new value."""
    plain = {name: value for name, value in as_plain(params).items() if not name.startswith("_")}  # Lightning's own
    there = yaml.safe_load(path.read_text()) or {} if path.exists() else {}
    merged = there | plain
    if merged != there:
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True))
        unfinished.replace(path)
