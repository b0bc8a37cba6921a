"""What the workspace knows, compared with a job before it is sent.

azureml-core sends a job whatever the workspace has: one for a cluster with fewer nodes waits for ever, and one for a
dataset that isn't registered fails after the image was built and the nodes were started.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from submit.errors import is_not_found
from submit.interface import Nodes
from submit.job import BuiltEnvironment, CuratedEnvironment, DatastorePath, Job, RegisteredDataset
from submit.preflight import environment_checks
from submit.preflight.findings import Finding, error
from submit.preflight.workspace_checks import (
    about_cluster,
    about_state,
    answered,
    no_files,
    no_such_cluster,
    no_such_dataset,
    no_such_datastore,
    no_such_version,
    wrong_compute,
)
from submit.v1.cluster import AmlCluster, errors_of, is_low_priority, supported_sizes
from submit.v1.job import find_environment

if TYPE_CHECKING:
    from azureml.core import Datastore, Workspace

_CLUSTER, _INSTANCE = "AmlCompute", "ComputeInstance"


def workspace_findings(workspace: "Workspace", job: Job) -> Iterator[Finding]:
    """What the workspace knows that speaks against a job."""
    yield from answered(f"--compute {job.compute!r}", lambda: check_compute(workspace, job))
    if job.data is not None:
        yield from answered("--dataset", lambda: check_data(workspace, job.data))
    yield from answered("--environment", lambda: check_environment(workspace, job))


def check_compute(workspace: "Workspace", job: Job) -> list[Finding]:
    """Findings about the cluster: it exists, is usable, and has the nodes and the GPUs."""
    from azureml.core.compute import ComputeTarget
    from azureml.exceptions import ComputeTargetException

    try:
        compute = ComputeTarget(workspace, job.compute)
    except ComputeTargetException as reason:
        if "NotFound" not in str(reason):
            raise
        return [no_such_cluster(job, workspace.compute_targets)]
    kind = getattr(compute, "type", None) or "another kind"
    if kind == _INSTANCE and job.nodes == 1:
        return [*about_state(job, str(compute.provisioning_state), errors_of(compute))]
    if kind != _CLUSTER:
        return [wrong_compute(job, kind, _CLUSTER)]
    return [*about_cluster(job, AmlCluster(compute), supported_sizes(workspace))]


def find_nodes(workspace: "Workspace", job: Job) -> Nodes | None:
    """The machines of the job's compute, as ``Workspace.nodes``."""
    from azureml.core.compute import ComputeTarget

    try:
        compute = ComputeTarget(workspace, job.compute)
        return Nodes(str(compute.vm_size), compute.cluster_location or compute.location, is_low_priority(compute))
    except Exception:  # azureml-core raises errors of several libraries; check_compute says what is wrong
        return None


def check_data(workspace: "Workspace", data: RegisteredDataset | DatastorePath | None) -> list[Finding]:
    """Findings about the data: the dataset and its version are registered, or the datastore's folder has files."""
    if isinstance(data, RegisteredDataset):
        return _about_dataset(workspace, data)
    return _about_folder(workspace, data) if data is not None else []


def _about_dataset(workspace: "Workspace", data: RegisteredDataset) -> list[Finding]:
    registered = _registered(workspace, data.name, None)
    if registered is None:
        return [no_such_dataset(data, _registered_names(workspace))]
    if data.version != "latest" and _registered(workspace, data.name, data.version) is None:
        latest = registered.latest.version_id
        return [no_such_version(data, latest)]
    kind = registered.dataset_type
    if kind and kind.lower() != "file":
        return [error(f"--dataset {data.name!r}: is a dataset of type {kind}; expected one of files")]
    return []


def _registered(workspace: "Workspace", name: str, version: str | None) -> Any:
    """What the workspace has registered; None if it has nothing of that name and version.

    ``Dataset.get_by_name`` needs azureml-dataprep as soon as it has found the dataset.
    """
    from azureml.data._dataset_rest_helper import _restclient
    from msrest.exceptions import HttpOperationError

    scope = workspace.subscription_id, workspace.resource_group, workspace.name
    try:
        return _restclient(workspace).dataset.get_dataset_by_name(*scope, dataset_name=name, version_id=version)
    except HttpOperationError as reason:
        if getattr(reason.response, "status_code", None) == 404:
            return None
        raise


def _registered_names(workspace: "Workspace") -> list[str]:
    from azureml.data._dataset_rest_helper import _restclient

    scope = workspace.subscription_id, workspace.resource_group, workspace.name
    return [dataset.name for dataset in _restclient(workspace).dataset.list(*scope, page_size=100).value]


def _about_folder(workspace: "Workspace", data: DatastorePath) -> list[Finding]:
    from azureml.data.azure_storage_datastore import AzureBlobDatastore

    datastore = _datastore(workspace, data.datastore)
    if datastore is None:
        return [no_such_datastore(data, workspace.datastores)]
    if not isinstance(datastore, AzureBlobDatastore) or datastore.credential_type == "None":
        return []  # can't be listed with the workspace's own credentials
    container = datastore.blob_service.get_container_client(datastore.container_name)
    blobs = container.list_blobs(name_starts_with=f"{data.path}/", results_per_page=1)
    if next(iter(blobs), None) is None:
        return [no_files(data, datastore.name)]
    return []


def _datastore(workspace: "Workspace", name: str | None) -> "Datastore | None":
    from azureml.core import Datastore

    try:
        return Datastore.get(workspace, name) if name else workspace.get_default_datastore()
    except Exception as reason:  # azureml-core raises errors of several libraries
        if name and is_not_found(reason):
            return None
        raise


def check_environment(workspace: "Workspace", job: Job) -> list[Finding]:
    """Findings about a named environment; a built one needs nothing of the workspace."""
    if not isinstance(job.environment, CuratedEnvironment):
        return []
    python = find_environment(job.environment, workspace).python  # raises if there is none
    if python.user_managed_dependencies or python.conda_dependencies is None:
        return []
    conda = python.conda_dependencies.serialize_to_string()
    return [*environment_checks.check_environment(job, BuiltEnvironment(job.environment.name, conda=conda))]
