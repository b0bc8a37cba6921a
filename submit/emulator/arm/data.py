"""Data: named folders, files and tables of a datastore. Datasets of SDK v1 are tables here, as in Azure ML."""

from collections.abc import Sequence
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api import dataflow
from submit.emulator.arm import models, versions
from submit.emulator.arm.resources import known, version_in
from submit.emulator.messages import ApiError
from submit.emulator.state import AssetVersion, State
from submit.emulator.workspace import DATASTORE

TYPES = ("uri_folder", "uri_file", "mltable")


class Data:
    plural, singular = "data", "data"

    def names(self, state: State) -> Sequence[str]:
        return [*state.data, *(name for name in state.datasets if name not in state.data)]

    def versions(self, state: State, name: str) -> Sequence[AssetVersion]:
        return state.data.get(name) or [_of_v1(state, name, dataset) for dataset in state.datasets.get(name, [])]

    def add(self, state: State, version: AssetVersion) -> None:
        known(version.properties.get("dataType"), TYPES, "dataType")
        if version.name in state.datasets:
            raise ApiError(409, "UserError", f"{version.name!r} is a dataset of SDK v1, which can't get this version")
        others = [other for other in state.data.get(version.name, []) if other.version != version.version]
        state.data[version.name] = [*others, version]


DATA = Data()
ROUTES = versions.routes(DATA)


def add(state: State, name: str, path: str, kind: str, version: str | None = None) -> None:
    """Adds a version, by default the next one: what is at a path of the default datastore."""
    address = f"azureml://datastores/{DATASTORE}/paths/{path}"
    number = version or versions.next_version(state.data.get(name, []))
    DATA.add(state, AssetVersion(name, number, {"dataType": kind, "dataUri": address}, datetimes.now()))


def address(state: State, given: str) -> str:
    """The address in a datastore of an input, which may be the id of data or of a model.

    Raises:
        ApiError: There is no such version.
    """
    found = version_in(given, DATA.plural)
    if found is not None:
        return str(versions.find(DATA, state, *found).properties["dataUri"])
    found = version_in(given, models.MODELS.plural)
    if found is not None:
        return str(versions.find(models.MODELS, state, *found).properties["modelUri"])
    return given


def _of_v1(state: State, name: str, dataset: dict[str, Any]) -> AssetVersion:
    saved = state.saved_datasets[dataset["latest"]["savedDatasetId"]]
    path = dataflow.folder(saved, state.datastore.artifacts)
    properties = {"dataType": "mltable", "dataUri": f"azureml://datastores/{DATASTORE}/paths/{path}"}
    return AssetVersion(name, dataset["latest"]["versionId"], properties, state.started)
