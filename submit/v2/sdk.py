"""SDK v2 as the commands use it: an implementation of ``submit.interface``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from submit.cluster import Cluster
from submit.deployment.deployment import Deployment, Endpoint, RegisteredModel
from submit.interface import Datastore, DataVersion, ModelLabels, Nodes
from submit.job import Job
from submit.preflight.findings import Finding
from submit.preflight.snapshot import IgnoreRules
from submit.runs.run_info import RunSummary
from submit.sweep.sweep import Sweep
from submit.v2 import (
    checks,
    cluster,
    data,
    datastore,
    deployment,
    endpoint,
    job,
    models,
    run,
    run_list,
    sending,
    sweep,
    workspace_checks,
)
from submit.v2 import workspace as workspaces

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


@dataclass(frozen=True)
class ClientWorkspace:
    """A ``submit.interface.Workspace``."""

    client: "MLClient"
    name: str
    location: str

    def findings(self, wanted: Job) -> Sequence[Finding]:
        return [*workspace_checks.workspace_findings(self.client, self.location, wanted)]

    def nodes(self, wanted: Job) -> Nodes | None:
        return workspace_checks.find_nodes(self.client, self.location, wanted)

    def send(self, wanted: Job) -> run.ClientRun:
        return run.ClientRun(self.client, sending.send_job(wanted, self.client))

    def send_sweep(self, wanted: Sweep) -> run.ClientRun:
        return run.ClientRun(self.client, sending.send_sweep(wanted, self.client))

    def find_run(self, run_id: str) -> run.ClientRun:
        return run.find_run(self.client, run_id)

    def list_runs(self, experiment: str, limit: int) -> Sequence[RunSummary]:
        return run_list.list_runs(self.client, experiment, limit)

    def find_cluster(self, name: str) -> cluster.ClientCluster | None:
        return cluster.find_cluster(self.client, name)

    def create_cluster(self, wanted: Cluster) -> cluster.ClientCluster:
        return cluster.create_cluster(self.client, self.location, wanted)

    def find_data(self, name: str, version: str | None) -> DataVersion | None:
        return data.find_data(self.client, name, version)

    def register_data(self, name: str, version: str | None, address: str) -> str:
        return data.register_data(self.client, name, version, address)

    def register_model(self, name: str, folder: Path, labels: ModelLabels, description: str | None) -> int:
        return models.register_model(self.client, name, folder, labels, description)

    def open_datastore(self, name: str | None) -> Datastore:
        return datastore.open_datastore(self.client, name)

    def deployment_findings(self, wanted: Deployment) -> Sequence[Finding]:
        return [*endpoint.deployment_findings(self.client, wanted)]

    def model_properties(self, model: RegisteredModel) -> Mapping[str, str]:
        return endpoint.model_properties(self.client, model)

    def find_endpoint(self, name: str) -> Endpoint | None:
        return endpoint.find_endpoint(self.client, name)

    def create_endpoint(self, name: str) -> Endpoint:
        return endpoint.create_endpoint(self.client, name)

    def send_deployment(self, wanted: Deployment, code: Path) -> None:
        endpoint.send_deployment(self.client, wanted, code)

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        return endpoint.set_traffic(self.client, name, traffic)

    def endpoint_names(self) -> Sequence[str]:
        return endpoint.endpoint_names(self.client)

    def delete_endpoint(self, name: str) -> None:
        endpoint.delete_endpoint(self.client, name)

    def delete_deployment(self, endpoint_name: str, name: str) -> None:
        endpoint.delete_deployment(self.client, endpoint_name, name)


class SdkV2:
    """A ``submit.interface.Sdk``."""

    package = "azure-ai-ml"
    job_extra: str | None = None  # the training sends metrics by the job's MLflow interface

    def ignore_rules(self, folder: Path) -> IgnoreRules:
        from azure.ai.ml._utils._asset_utils import get_ignore_file

        return IgnoreRules(folder, get_ignore_file(folder), self.package, folders=False)

    def findings(self, wanted: Job) -> Sequence[Finding]:
        return [*checks.job_findings(wanted)]

    def request(self, wanted: Job) -> str:
        return job.job_yaml(wanted)

    def sweep_request(self, wanted: Sweep) -> str:
        return sweep.sweep_yaml(wanted)

    def endpoint_request(self, name: str) -> str:
        return deployment.endpoint_yaml(name)

    def deployment_request(self, wanted: Deployment, code: Path) -> str:
        return deployment.deployment_yaml(wanted, code)

    def require_sweeps(self) -> None:
        """azure-ai-ml has them."""

    def require_data_assets(self) -> None:
        """azure-ai-ml has them."""

    def require_deployments(self) -> None:
        """azure-ai-ml has them."""

    def open_workspace(self, file: Path | None) -> ClientWorkspace:
        client, name, location = workspaces.open_workspace(file)
        return ClientWorkspace(client, name, location)


SDK = SdkV2()
