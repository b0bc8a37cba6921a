"""What a workspace of the emulator has beside runs: computes, environments, data, models and endpoints."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from submit.emulator import datetimes
from submit.emulator.api import blobs, dataflow, datasets, environments
from submit.emulator.arm import data as arm_data
from submit.emulator.arm import environments as arm_environments
from submit.emulator.online import OnlineEndpoint
from submit.emulator.state import Compute, Dataset, RegisteredModel, State


class Resources:
    """Adds them, and returns copies of them."""

    def __init__(self) -> None:
        self._state = State()

    def add_compute(self, name: str, vm_size: str, nodes: int, priority: str = "Dedicated") -> None:
        """Adds a cluster with a maximum number of nodes, ready for use; its priority may be LowPriority."""
        with self._state.lock:
            self._state.computes[name] = Compute(name, vm_size, nodes, datetimes.now(), priority=priority)

    def set_creation_time(self, seconds: float) -> None:
        """Sets how long the creation of a cluster, of an endpoint and of a deployment takes."""
        with self._state.lock:
            self._state.creation_seconds = seconds

    def set_compute_state(
        self,
        name: str,
        provisioning_state: str | None = None,
        errors: Sequence[str] | None = None,
        current_nodes: int | None = None,
        compute_type: str | None = None,
    ) -> None:
        """Sets what the service reports of a compute; None leaves a value as it is.

        Raises:
            KeyError: There is no such compute.
        """
        with self._state.lock:
            compute = self._state.computes[name]
            compute.provisioning_state = provisioning_state or compute.provisioning_state
            compute.current_nodes = compute.current_nodes if current_nodes is None else current_nodes
            compute.errors = compute.errors if errors is None else tuple(errors)
            compute.compute_type = compute_type or compute.compute_type

    def add_environment(self, name: str, image: str, version: str | None = None) -> None:
        """Adds a version, by default the next one, of a named environment, such as those that Azure provides."""
        with self._state.lock:
            environments.add(self._state, name, environments.image_content(image), version)

    def add_registry_environment(self, name: str, image: str, version: str | None = None) -> None:
        """Adds a version, by default the next one, of an environment to the registry that Azure provides."""
        with self._state.lock:
            arm_environments.add_to_registry(self._state, name, image, version)

    def add_dataset(self, name: str, path: str, dataset_type: str = "file") -> None:
        """Registers a version of a dataset: the files in a folder of the default datastore."""
        with self._state.lock:
            datasets.add(self._state, datasets.files_content(name, path) | {"datasetType": dataset_type})

    def add_data(self, name: str, path: str, kind: str = "uri_folder", version: str | None = None) -> None:
        """Adds a version, by default the next one, of data of SDK v2: what is at a path of the default datastore."""
        with self._state.lock:
            arm_data.add(self._state, name, path, kind, version)

    def add_datastore_file(self, path: str, content: bytes, md5: str | None = "") -> None:
        """Adds a file to the default datastore; None for one without an MD5, as some programs upload."""
        with self._state.lock:
            blobs.store(self._state.datastore, path, content, blobs.md5(content) if md5 == "" else md5)

    def dataset(self, dataset_id: str | None, name: str | None, version: str | None) -> Dataset | None:
        """A dataset with its files, by its id or by its name (and version); None if there is no such dataset."""
        with self._state.lock:
            saved = datasets.find(self._state, dataset_id, name, version)
            return Dataset(saved["id"], dataflow.files(saved, self._state.datastore.artifacts)) if saved else None

    def datastore_files(self, datastore: str | None, path: str) -> dict[str, bytes]:
        """The files in a folder of a datastore, by their paths in it."""
        with self._state.lock:
            return datasets.files_of_datastore(self._state, datastore, path)

    def input_address(self, address: str) -> str:
        """The address in a datastore of what a job of SDK v2 names, such as the id of a version of data."""
        with self._state.lock:
            return arm_data.address(self._state, address)

    @property
    def computes(self) -> list[Compute]:
        with self._state.lock:
            return [replace(compute) for compute in self._state.computes.values()]

    @property
    def endpoints(self) -> list[OnlineEndpoint]:
        """Managed online endpoints with their deployments."""
        with self._state.lock:
            return deepcopy(list(self._state.endpoints.values()))

    @property
    def datastore(self) -> dict[str, bytes]:
        """The content of the default datastore by path."""
        with self._state.lock:
            return dict(self._state.datastore.artifacts)

    @property
    def models(self) -> list[RegisteredModel]:
        with self._state.lock:
            return list(self._state.models)
