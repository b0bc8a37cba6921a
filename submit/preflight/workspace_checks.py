"""What the workspace knows, compared with a job before it is sent: the findings, in the words of all SDKs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from submit.cluster import FoundCluster
from submit.errors import SubmitError, describe_error
from submit.job import DatastorePath, Job, RegisteredDataset
from submit.low_priority import about_evictions
from submit.preflight.findings import Finding, error, warning
from submit.vm_sizes import RECOMMENDED_SIZE, gpus_of

_UNUSABLE = ("Failed", "Canceled", "Deleting")  # provisioning states
_NAMED = 10  # things that a message names


def answered(what: str, check: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    """The findings of a check, or one that says why it couldn't be made."""
    try:
        return check()
    except SubmitError as reason:
        return [error(" ".join(str(reason).split()))]
    except Exception as reason:  # the SDKs raise errors of several libraries
        return [error(f"{what}: the workspace doesn't say whether it exists ({describe_error(reason)})")]


def about_cluster(job: Job, cluster: FoundCluster, sizes: Mapping[str, int] | None) -> Iterator[Finding]:
    """Findings about a cluster: it is usable, and has the nodes and the GPUs; ``sizes`` are GPUs by VM size."""
    yield from about_state(job, cluster.provisioning_state, cluster.errors)
    if job.nodes > cluster.max_nodes:
        yield error(
            f"--nodes {job.nodes}: --compute {job.compute!r} has {cluster.max_nodes} at most, so the job would wait "
            f"for ever; give --nodes {cluster.max_nodes}, or raise the cluster's maximum in the portal"
        )
    yield from about_gpus(job, cluster.vm_size, gpus_of(sizes, cluster.vm_size))
    if cluster.low_priority:
        yield about_evictions(f"--compute {job.compute!r}", job)


def about_state(job: Job, state: str, errors: Iterable[str]) -> Iterator[Finding]:
    given, reasons = f"--compute {job.compute!r}", "; ".join(errors)
    if state in _UNUSABLE:
        yield error(f"{given}: the cluster is {state}{f' ({reasons})' if reasons else ''}; take or create another one")
    elif reasons:
        yield warning(f"{given}: the cluster reports: {reasons}; until that is mended, a job may wait for nodes")


def about_gpus(job: Job, vm_size: str, gpus: int | None) -> Iterator[Finding]:
    if gpus is None:
        return
    per_node = f"--processes_per_node {job.processes_per_node}"
    if gpus == 0:
        yield warning(f"--compute {job.compute!r}: {vm_size} has no GPU; the job trains on its processors")
    elif job.processes_per_node > gpus:
        yield error(f"{per_node}: {vm_size} has {gpus} GPUs, and each process needs one; give {gpus} at most")
    elif job.processes_per_node < gpus:
        yield warning(f"{per_node}: {vm_size} has {gpus} GPUs; the others would be paid for and not used")


def no_such_cluster(job: Job, there: Iterable[str]) -> Finding:
    names = ", ".join(repr(name) for name in there) or "none"
    return error(
        f"--compute {job.compute!r}: no such cluster in the workspace, which has {names}; create it: python -m submit "
        f"compute --name {job.compute} --vm_size {RECOMMENDED_SIZE} --max_nodes {job.nodes}"
    )


def wrong_compute(job: Job, kind: str, expected: str) -> Finding:
    return error(
        f"--compute {job.compute!r}: is a compute of type {kind}; expected a cluster ({expected}), see submit compute"
    )


def no_such_dataset(data: RegisteredDataset, there: Iterable[str]) -> Finding:
    return error(
        f"--dataset {data.name!r}: the workspace has no registered dataset of this name; it has {_names(there)}. A "
        f"folder of the datastore has a slash: --dataset {data.name}/"
    )


def no_such_version(data: RegisteredDataset, latest: object) -> Finding:
    return error(f"--dataset {data.name}:{data.version}: no such version; the last one is {latest}")


def no_such_datastore(data: DatastorePath, there: Iterable[str]) -> Finding:
    return error(f"--dataset: the workspace has no datastore {data.datastore!r}; it has {_names(there)}")


def no_files(data: DatastorePath, datastore: str) -> Finding:
    return error(
        f"--dataset {data.path!r}: the datastore {datastore!r} has no files there; upload them: python -m submit "
        f"upload --src DIR --target {data.path}"
    )


def _names(content: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(content)[:_NAMED]) or "none"
