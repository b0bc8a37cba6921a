"""What the workspace knows, compared with a job before it is sent.

azureml-core sends a job whatever the workspace has: one for a cluster with fewer nodes waits for ever, and one for a
dataset that isn't registered fails after the image was built and the nodes were started.

azureml-core is imported inside the functions, so that a wrong command line is reported without it.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error, is_not_found
from submit.job import CuratedEnvironment, DatastorePath, Job, RegisteredDataset
from submit.low_priority import about_evictions, is_low_priority
from submit.preflight.findings import Finding, error, report_findings, warning
from submit.sdk_v1 import find_environment
from submit.vm_sizes import RECOMMENDED_SIZE, gpus_of

if TYPE_CHECKING:
    from azureml.core import Datastore, Workspace

_CLUSTER, _INSTANCE = "AmlCompute", "ComputeInstance"
_UNUSABLE = ("Failed", "Canceled", "Deleting")  # provisioning states


def check_workspace(workspace: "Workspace", job: Job) -> None:
    """Prints warnings about a job in a workspace.

    Raises:
        PreflightError: The workspace can't run the job, or doesn't respond; there is a line for each reason.
    """
    report_findings(_workspace_findings(workspace, job))


def _workspace_findings(workspace: "Workspace", job: Job) -> Iterator[Finding]:
    yield from _answered(f"--compute {job.compute!r}", lambda: check_compute(workspace, job))
    if job.data is not None:
        yield from _answered("--dataset", lambda: check_data(workspace, job.data))
    yield from _answered("--environment", lambda: check_environment(workspace, job))


def _answered(what: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of a check, or one that says why it couldn't be made."""
    try:
        return check()
    except SubmitError as reason:
        return [error(" ".join(str(reason).split()))]
    except Exception as reason:  # azureml-core raises errors of several libraries
        return [error(f"{what}: the workspace doesn't say whether it exists ({describe_error(reason)})")]


def check_compute(workspace: "Workspace", job: Job) -> list[Finding]:
    """Findings about the cluster: it exists, is usable, and has the nodes and the GPUs."""
    from azureml.core.compute import ComputeTarget
    from azureml.exceptions import ComputeTargetException

    try:
        compute = ComputeTarget(workspace, job.compute)
    except ComputeTargetException as reason:
        if "NotFound" not in str(reason):
            raise
        return [error(_no_such_cluster(workspace, job))]
    given = f"--compute {job.compute!r}"
    kind = getattr(compute, "type", None) or "another kind"
    if kind == _INSTANCE and job.nodes == 1:
        return list(_about_state(given, compute))
    if kind != _CLUSTER:
        return [error(f"{given}: is a compute of type {kind}; expected a cluster ({_CLUSTER}), see submit compute")]
    evictions = [about_evictions(given, job)] if is_low_priority(compute) else []
    found = [*_about_state(given, compute), *_about_nodes(given, compute, job), *_about_gpus(workspace, compute, job)]
    return [*found, *evictions]


def _no_such_cluster(workspace: "Workspace", job: Job) -> str:
    there = ", ".join(repr(name) for name in workspace.compute_targets) or "none"
    return (
        f"--compute {job.compute!r}: no such cluster in the workspace, which has {there}; create it: python -m submit "
        f"compute --name {job.compute} --vm_size {RECOMMENDED_SIZE} --max_nodes {job.nodes}"
    )


def _about_state(given: str, cluster: Any) -> Iterator[Finding]:
    state = cluster.provisioning_state
    reasons = "; ".join(_errors(cluster))
    if state in _UNUSABLE:
        yield error(f"{given}: the cluster is {state}{f' ({reasons})' if reasons else ''}; take or create another one")
    elif reasons:
        yield warning(f"{given}: the cluster reports: {reasons}; until that is mended, a job may wait for nodes")


def _errors(cluster: Any) -> Iterator[str]:
    for entry in [*(cluster.provisioning_errors or []), *((cluster.status and cluster.status.errors) or [])]:
        content = entry.get("error", entry)
        yield " ".join(str(content.get("message") or content).split())


def _about_nodes(given: str, cluster: Any, job: Job) -> Iterator[Finding]:
    most = cluster.scale_settings.maximum_node_count
    if most is not None and job.nodes > most:
        yield error(
            f"--nodes {job.nodes}: {given} has {most} at most, so the job would wait for ever; give --nodes {most}, or "
            "raise the cluster's maximum in the portal"
        )


def _about_gpus(workspace: "Workspace", cluster: Any, job: Job) -> Iterator[Finding]:
    gpus = gpus_of(workspace, cluster.vm_size)
    if gpus is None:
        return
    per_node = f"--processes_per_node {job.processes_per_node}"
    if gpus == 0:
        yield warning(f"--compute {job.compute!r}: {cluster.vm_size} has no GPU; the job trains on its processors")
    elif job.processes_per_node > gpus:
        yield error(f"{per_node}: {cluster.vm_size} has {gpus} GPUs, and each process needs one; give {gpus} at most")
    elif job.processes_per_node < gpus:
        yield warning(f"{per_node}: {cluster.vm_size} has {gpus} GPUs; the others would be paid for and not used")


def check_data(workspace: "Workspace", data: RegisteredDataset | DatastorePath | None) -> list[Finding]:
    """Findings about the data: the dataset and its version are registered, or the datastore's folder has files."""
    if isinstance(data, RegisteredDataset):
        return _about_dataset(workspace, data)
    return _about_folder(workspace, data) if data is not None else []


def _about_dataset(workspace: "Workspace", data: RegisteredDataset) -> list[Finding]:
    registered = _registered(workspace, data.name, None)
    if registered is None:
        return [
            error(
                f"--dataset {data.name!r}: the workspace has no registered dataset of this name; it has "
                f"{_names(_registered_names(workspace))}. A folder of the datastore has a slash: --dataset {data.name}/"
            )
        ]
    if data.version != "latest" and _registered(workspace, data.name, data.version) is None:
        latest = registered.latest.version_id
        return [error(f"--dataset {data.name}:{data.version}: no such version; the last one is {latest}")]
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
        return [
            error(
                f"--dataset: the workspace has no datastore {data.datastore!r}; it has {_names(workspace.datastores)}"
            )
        ]
    if not isinstance(datastore, AzureBlobDatastore) or datastore.credential_type == "None":
        return []  # can't be listed with the workspace's own credentials
    container = datastore.blob_service.get_container_client(datastore.container_name)
    blobs = container.list_blobs(name_starts_with=f"{data.path}/", results_per_page=1)
    if next(iter(blobs), None) is None:
        return [
            error(
                f"--dataset {data.path!r}: the datastore {datastore.name!r} has no files there; upload them: python -m "
                f"submit upload --src DIR --target {data.path}"
            )
        ]
    return []


def _datastore(workspace: "Workspace", name: str | None) -> "Datastore | None":
    from azureml.core import Datastore

    try:
        return Datastore.get(workspace, name) if name else workspace.get_default_datastore()
    except Exception as reason:  # azureml-core raises errors of several libraries
        if name and is_not_found(reason):
            return None
        raise


def _names(content: Any) -> str:
    return ", ".join(repr(name) for name in sorted(content)[:10]) or "none"


def check_environment(workspace: "Workspace", job: Job) -> list[Finding]:
    """Findings about a named environment; a built one needs nothing of the workspace."""
    if isinstance(job.environment, CuratedEnvironment):
        find_environment(job.environment, workspace)  # raises if there is none
    return []
