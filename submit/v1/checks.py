"""What SDK v1 has no place for."""

from collections.abc import Iterator

from submit.errors import SubmitError
from submit.job import SERVERLESS, CuratedEnvironment, Job, RegisteredDataset
from submit.preflight.findings import Finding, error

_V2 = "needs SDK v2: give --sdk v2"


def data_assets_are_of_v2() -> SubmitError:
    """Without azureml-dataset-runtime, azureml-core can't register data."""
    return SubmitError(f"--name: {_V2}; with SDK v1, --dataset takes the folder of the datastore")


def deployments_are_of_v2() -> SubmitError:
    """azureml-core deploys to the former kinds of endpoints only."""
    return SubmitError(f"an online endpoint {_V2}")


def job_findings(job: Job) -> Iterator[Finding]:
    given = {
        f"--compute {SERVERLESS}": job.compute == SERVERLESS,
        "--vm_size": job.vm_size is not None,
        "--low_priority": job.low_priority,
        "--tensorboard": job.services.tensorboard,
        "--ssh_key": job.services.ssh_key is not None,
        "--environment azureml://registries/...": (
            isinstance(job.environment, CuratedEnvironment) and job.environment.registry is not None
        ),
    }
    yield from (error(f"{flag}: {_V2}") for flag, is_given in given.items() if is_given)
    if isinstance(job.data, RegisteredDataset) and not _is_number(job.data.version):
        yield error(
            f"--dataset {job.data.name}:{job.data.version}: versions of SDK v1 are whole numbers, such as "
            f"{job.data.name}:1; a data asset with another {_V2}"
        )


def _is_number(version: str) -> bool:
    return version == "latest" or (version.isascii() and version.isdecimal())
