"""Tags and properties of a registered model, within the limits of Azure ML."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from submit.interface import ModelLabels
from submit.job import DEFAULT_DATASTORE, DatastorePath, RegisteredDataset
from submit.upload.target import dataset_value

# https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity
MOST = 50  # tags, and as many properties
LONGEST_NAME = 100
LONGEST_VALUE = 1000
_FIRST = ("test", "val")  # these metrics come first if there are too many for the tags


@dataclass(frozen=True)
class FittedLabels:
    """``left_out`` are the metrics for which no tag was left, ``shortened`` the labels whose values were too long."""

    labels: ModelLabels
    left_out: tuple[str, ...]
    shortened: tuple[str, ...]


def fitted_labels(
    origin: Mapping[str, str | None], details: Mapping[str, object], metrics: Mapping[str, float]
) -> FittedLabels:
    """Tags of the origin and of the metrics, and properties of the origin and its details; None is left out.

    Properties never change, so that the origin of a version stays what it is whatever becomes of its tags.
    """
    known = {name: text for name, text in origin.items() if text}
    names = sorted(metrics, key=lambda name: (not name.startswith(_FIRST), name))
    fitting = [name for name in names if len(name) <= LONGEST_NAME and name not in known]
    taken = fitting[: MOST - len(known)]
    tags = known | {name: f"{metrics[name]:.6g}" for name in taken}
    properties = known | {name: _text(value) for name, value in details.items() if value is not None}
    long = [name for name, text in (tags | properties).items() if len(text) > LONGEST_VALUE]
    labels = ModelLabels(_shortened(tags), _shortened(properties))
    return FittedLabels(labels, tuple(name for name in names if name not in taken), tuple(long))


def data_text(data: RegisteredDataset | DatastorePath | None) -> str | None:
    """Data as ``--dataset`` takes it."""
    if isinstance(data, RegisteredDataset):
        return f"{data.name}:{data.version}"
    return None if data is None else dataset_value(data.datastore or DEFAULT_DATASTORE, data.path)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _shortened(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..." for name, text in labels.items()
    }
