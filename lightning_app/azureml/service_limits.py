"""What the services accept. No client checks it before it sends.

Azure ML: learn.microsoft.com/azure/machine-learning/resource-limits-capacity, 2025-02-05. MLflow: mlflow.org, REST API,
"Log Batch", and mlflow/utils/validation.py of MLflow 3.15; where older releases accept less, theirs.
"""

import re
from dataclasses import dataclass

METRIC_NAMES = 50  # per run
ROWS = 250  # per request
COLUMNS = 15  # per row
TEXT = 255  # characters of a metric's name, a column's name or a column's value
TAGS = 50  # per run
TAG_NAME = 100  # characters
TAG_VALUE = 1000  # characters


@dataclass(frozen=True)
class Limits:
    """Of one service.

    Args:
        service: What it is called in messages.
        rows: Values per request.
        metric_names: Per run; None for any number.
        name_length: Characters of a metric's name.
        tags: Per run; None for any number.
        tag_name: Characters of a tag's name.
        tag_value: Characters of a tag's value.
        params: Per run; None for any number, 0 where hyperparameters are tags.
        param_value: Characters of a parameter's value.
        takes_nonfinite: Whether NaN and infinite values are accepted.
        overwrites_files: Whether a file can be uploaded again; otherwise each attempt needs another name.
        name_pattern: What a name of a metric, a tag or a parameter consists of; None for any characters.
    """

    service: str = "Azure ML"
    rows: int = ROWS
    metric_names: int | None = METRIC_NAMES
    name_length: int = TEXT
    tags: int | None = TAGS
    tag_name: int = TAG_NAME
    tag_value: int = TAG_VALUE
    params: int | None = 0
    param_value: int = 0
    takes_nonfinite: bool = False
    overwrites_files: bool = False
    name_pattern: re.Pattern[str] | None = None


_NAME = re.compile(r"[\w.\- /]+")
_ASCII_NAME = re.compile(_NAME.pattern, re.ASCII)  # whether Azure ML takes other letters isn't documented

AZURE_ML = Limits()
AZURE_ML_BY_MLFLOW = Limits(name_length=250, params=200, param_value=500, name_pattern=_ASCII_NAME)
MLFLOW = Limits(
    service="MLflow",
    rows=1000,
    metric_names=None,
    name_length=250,
    tags=None,
    tag_name=250,
    tag_value=5000,
    params=None,
    param_value=500,
    takes_nonfinite=True,
    overwrites_files=True,
    name_pattern=_NAME,
)
MLFLOW_LABELS_A_REQUEST = 100  # parameters, and tags
