"""SDK v1 as the commands use it: an implementation of ``submit.interface``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from submit.cluster import Cluster
from submit.deployment.deployment import Deployment, Endpoint, RegisteredModel
from submit.interface import Datastore, DataVersion, ModelLabels, Nodes
from submit.job import Job
from submit.output import to_yaml
from submit.preflight.findings import Finding
from submit.preflight.snapshot import IgnoreRules
from submit.runs.run_info import RunSummary
from submit.sweep.sweep import Sweep
from submit.v1 import checks, cluster, datastore, job, models, run, sweep, workspace_checks
from submit.v1 import workspace as workspaces
from submit.v1.checks import data_assets_are_of_v2, deployments_are_of_v2

if TYPE_CHECKING:
    import azureml.core


@dataclass(frozen=True)
class CoreWorkspace:
    """A ``submit.interface.Workspace``."""

    core: "azureml.core.Workspace"

    @property
    def name(self) -> str:
        return str(self.core.name)

    @property
    def location(self) -> str:
        return str(self.core.location)

    def findings(self, wanted: Job) -> Sequence[Finding]:
        return [*workspace_checks.workspace_findings(self.core, wanted)]

    def nodes(self, wanted: Job) -> Nodes | None:
        return workspace_checks.find_nodes(self.core, wanted)

    def send(self, wanted: Job) -> run.CoreRun:
        return run.CoreRun(job.send_job(wanted, self.core))

    def send_sweep(self, wanted: Sweep) -> run.CoreRun:
        return run.CoreRun(sweep.send_sweep(wanted, self.core))

    def find_run(self, run_id: str) -> run.CoreRun:
        return run.find_run(self.core, run_id)

    def list_runs(self, experiment: str, limit: int) -> Sequence[RunSummary]:
        return run.list_runs(self.core, experiment, limit)

    def find_cluster(self, name: str) -> cluster.AmlCluster | None:
        return cluster.find_cluster(self.core, name)

    def create_cluster(self, wanted: Cluster) -> cluster.AmlCluster:
        return cluster.create_cluster(self.core, wanted)

    def find_data(self, name: str, version: str | None) -> DataVersion | None:
        raise data_assets_are_of_v2()

    def register_data(self, name: str, version: str | None, address: str) -> str:
        raise data_assets_are_of_v2()

    def register_model(self, name: str, folder: Path, labels: ModelLabels, description: str | None) -> int:
        return models.register_model(self.core, name, folder, labels, description)

    def open_datastore(self, name: str | None) -> Datastore:
        return datastore.open_datastore(self.core, name)

    def deployment_findings(self, wanted: Deployment) -> Sequence[Finding]:
        raise deployments_are_of_v2()

    def model_properties(self, model: RegisteredModel) -> Mapping[str, str]:
        raise deployments_are_of_v2()

    def find_endpoint(self, name: str) -> Endpoint | None:
        raise deployments_are_of_v2()

    def create_endpoint(self, name: str) -> Endpoint:
        raise deployments_are_of_v2()

    def send_deployment(self, wanted: Deployment, code: Path) -> None:
        raise deployments_are_of_v2()

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        raise deployments_are_of_v2()

    def endpoint_names(self) -> Sequence[str]:
        raise deployments_are_of_v2()

    def delete_endpoint(self, name: str) -> None:
        raise deployments_are_of_v2()

    def delete_deployment(self, endpoint_name: str, name: str) -> None:
        raise deployments_are_of_v2()


class SdkV1:
    """A ``submit.interface.Sdk``."""

    package = "azureml-core"
    job_extra: str | None = "v1"

    def ignore_rules(self, folder: Path) -> IgnoreRules:
        # this part of azureml-core loads nothing else of it
        from azureml._project.ignore_file import get_project_ignore_file

        return IgnoreRules(folder, get_project_ignore_file(str(folder)), self.package)

    def findings(self, wanted: Job) -> Sequence[Finding]:
        return [*checks.job_findings(wanted)]

    def request(self, wanted: Job) -> str:
        return to_yaml({"experiment": wanted.experiment, "definition": job.build_request(wanted)})

    def sweep_request(self, wanted: Sweep) -> str:
        return to_yaml(sweep.build_request(wanted))

    def endpoint_request(self, name: str) -> str:
        raise deployments_are_of_v2()

    def deployment_request(self, wanted: Deployment, code: Path) -> str:
        raise deployments_are_of_v2()

    def require_sweeps(self) -> None:
        sweep.require_sdk()

    def require_data_assets(self) -> None:
        raise data_assets_are_of_v2()

    def require_deployments(self) -> None:
        raise deployments_are_of_v2()

    def open_workspace(self, file: Path | None) -> CoreWorkspace:
        return CoreWorkspace(workspaces.open_workspace(file))


SDK = SdkV1()
