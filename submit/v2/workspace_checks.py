"""What the workspace knows, compared with a job before it is sent with azure-ai-ml."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from submit.errors import describe_error, is_not_found
from submit.interface import Nodes
from submit.job import (
    SERVERLESS,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    RegisteredDataset,
)
from submit.preflight import environment_checks
from submit.preflight.findings import Finding, error, warning
from submit.preflight.workspace_checks import (
    about_cluster,
    about_gpus,
    about_state,
    answered,
    no_files,
    no_such_cluster,
    no_such_dataset,
    no_such_datastore,
    no_such_version,
    wrong_compute,
)
from submit.v2.cluster import CLUSTER, ClientCluster, errors_of, supported_sizes
from submit.v2.data import FOLDER, find_asset
from submit.v2.datastore import container_client, is_blobs
from submit.v2.enumerations import plain
from submit.v2.job import environment_reference
from submit.vm_sizes import gpus_of, require_size

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_INSTANCE = "computeinstance"


def workspace_findings(client: "MLClient", location: str, job: Job) -> Iterator[Finding]:
    """What the workspace knows that speaks against a job."""
    yield from answered(f"--compute {job.compute!r}", lambda: [*check_compute(client, location, job)])
    if isinstance(job.data, RegisteredDataset):
        data = job.data
        yield from answered("--dataset", lambda: [*_about_asset(client, data)])
    elif job.data is not None:
        folder = job.data
        yield from answered("--dataset", lambda: [*_about_folder(client, folder)])
    if isinstance(job.environment, CuratedEnvironment):
        named = job.environment
        yield from answered("--environment", lambda: [*check_environment(client, named, job)])


def check_compute(client: "MLClient", location: str, job: Job) -> Iterator[Finding]:
    """Findings about the cluster or the serverless nodes: they exist, are usable, and have the GPUs."""
    if job.compute == SERVERLESS:
        if job.vm_size is not None:
            sizes = supported_sizes(client)
            require_size(location, sizes, job.vm_size)
            yield from about_gpus(job, job.vm_size, gpus_of(sizes, job.vm_size))
        return
    try:
        compute = client.compute.get(job.compute)
    except Exception as reason:  # azure-ai-ml raises errors of several libraries
        if not is_not_found(reason):
            raise
        yield no_such_cluster(job, (str(each.name) for each in client.compute.list()))
        return
    kind = plain(compute.type).lower()
    if kind == _INSTANCE and job.nodes == 1:
        yield from about_state(job, plain(compute.provisioning_state), errors_of(compute))
    elif kind != CLUSTER:
        yield wrong_compute(job, plain(compute.type), CLUSTER)
    else:
        cluster = ClientCluster(client, compute)
        yield from about_cluster(job, cluster, supported_sizes(client))
        if cluster.location.lower().replace(" ", "") != location.lower().replace(" ", ""):
            yield warning(
                f"--compute {job.compute!r}: is in {cluster.location}, the workspace and its data in {location}: each "
                "node reads the data across regions, which costs time and money"
            )


def find_nodes(client: "MLClient", location: str, job: Job) -> Nodes | None:
    """The machines of the job's compute, as ``Workspace.nodes``."""
    if job.compute == SERVERLESS:
        return Nodes(job.vm_size, location, job.low_priority) if job.vm_size else None
    try:
        compute = client.compute.get(job.compute)
        low_priority = plain(getattr(compute, "tier", "")).lower().replace("_", "") == "lowpriority"
        return Nodes(str(compute.size), compute.location, low_priority)
    except Exception:  # as above; check_compute says what is wrong
        return None


def _about_asset(client: "MLClient", data: RegisteredDataset) -> Iterator[Finding]:
    found = find_asset(client, data.name, None)
    if found is None:
        yield no_such_dataset(data, (str(each.name) for each in client.data.list()))
        return
    if data.version not in ("latest", str(found.version)):
        latest, found = found.version, find_asset(client, data.name, data.version)
        if found is None:
            yield no_such_version(data, latest)
            return
    if plain(found.type) != FOLDER:
        yield error(
            f"--dataset {data.name!r}: is a data asset of type {plain(found.type)}; expected {FOLDER}; give its "
            "folder: azureml://datastores/NAME/paths/FOLDER"
        )


def _about_folder(client: "MLClient", data: DatastorePath) -> Iterator[Finding]:
    name = data.datastore or str(client.datastores.get_default().name)
    try:
        datastore = client.datastores.get(name, include_secrets=True)
    except Exception as reason:  # as above
        if not is_not_found(reason):
            raise
        yield no_such_datastore(data, (str(each.name) for each in client.datastores.list()))
        return
    if not is_blobs(datastore) or datastore.credentials is None:
        return  # can't be listed with the workspace's own credentials
    blobs = container_client(client, datastore).list_blobs(name_starts_with=f"{data.path}/", results_per_page=1)
    if next(iter(blobs), None) is None:
        yield no_files(data, name)


def check_environment(client: "MLClient", wanted: CuratedEnvironment, job: Job | None = None) -> Iterator[Finding]:
    """Findings about a named environment: it exists, and has what the project of the job needs."""
    given = environment_reference(wanted)
    if wanted.registry is not None:
        yield from _about_registry(client, wanted)
        return
    try:
        conda = getattr(_get_environment(client, wanted), "conda_file", None)
        if conda and job is not None:
            yield from environment_checks.check_environment(
                job, BuiltEnvironment(wanted.name, conda=yaml.safe_dump(conda))
            )
    except Exception as reason:  # as above
        if not _is_missing(reason):
            raise
        names = ", ".join(sorted({repr(each.name) for each in client.environments.list()})[:10]) or "none"
        yield error(
            f"--environment {given!r}: the workspace has no such environment; it has {names}; for one of Azure ML give "
            f"azureml://registries/azureml/environments/{wanted.name}/labels/latest"
        )


def _about_registry(client: "MLClient", wanted: CuratedEnvironment) -> Iterator[Finding]:
    """A registry is another service; without an answer of it Azure ML decides when the job is sent."""
    from azure.ai.ml import MLClient

    given = f"--environment {environment_reference(wanted)!r}"
    try:
        registry = MLClient(client._credential, registry_name=wanted.registry, enable_telemetry=False)
        _get_environment(registry, wanted)
    except Exception as reason:  # as above
        if _is_missing(reason):
            yield error(f"{given}: there is no such environment in the registry ({describe_error(reason)})")
        else:
            yield warning(
                f"{given}: the registry doesn't say whether it exists ({describe_error(reason)}); Azure ML looks it up "
                "when the job is sent"
            )


def _get_environment(client: "MLClient", wanted: CuratedEnvironment) -> Any:
    if wanted.version:
        return client.environments.get(wanted.name, version=wanted.version)
    return client.environments.get(wanted.name, label="latest")


def _is_missing(reason: Exception) -> bool:
    """Whether there is no such thing; of a name without a version azure-ai-ml says so without a response."""
    from azure.ai.ml.exceptions import ValidationErrorType

    return is_not_found(reason) or getattr(reason, "error_type", None) == ValidationErrorType.RESOURCE_NOT_FOUND
