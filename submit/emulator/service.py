"""The emulator as tests and programs use it: it starts, stops, and returns what it holds."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from submit.emulator import workspace
from submit.emulator.api import jobs, metadata
from submit.emulator.arm import command_job, sweep_job
from submit.emulator.arm import jobs as arm_jobs
from submit.emulator.client_environment import client_variables, job_variables, mlflow_variables, write_config
from submit.emulator.faults import Fault
from submit.emulator.resources import Resources
from submit.emulator.server import Authority, Server
from submit.emulator.state import Eviction, RecordedRequest, Run, SubmittedJob

USER_TOKEN_SECONDS = 24 * 3600


class AzureMLEmulator(Resources):
    """A loopback Azure ML service that keeps everything in memory and connects to nothing.

    It can be stopped and started again on the same port with the same state, as a service that fails and recovers.
    What its methods return are copies.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        super().__init__()
        self._authority = Authority()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The address; with port 0 it is known after the first start."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts to listen.

        Raises:
            OSError: The port is in use.
        """
        self._server = Server(self.port, self._state, self._authority)
        self.port = self._server.server_address[1]
        self._state.url = self.url
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stops listening and ends all connections; does nothing if it isn't running."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._state.faults.release()
        self._server = None

    def __enter__(self) -> "AzureMLEmulator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def job_environment(self, run_id: str, home: Path, token_seconds: float = 3600) -> dict[str, str]:
        """The environment variables of a run's job, with which an unmodified client connects only to the emulator.

        ``home`` is created if it doesn't exist; use it for nothing else, because the client caches addresses in it.
        """
        variables = job_variables(self.run(run_id), self._state, token_seconds)
        return variables | client_variables(home, self._state, self._authority)

    def v2_job_environment(self, run_id: str, home: Path, token_seconds: float = 3600) -> dict[str, str]:
        """As ``job_environment``, with the variables of MLflow, which each job of Azure ML has."""
        mlflow = mlflow_variables(self.run(run_id), self._state, token_seconds)
        cloud = {"AZUREML_CURRENT_CLOUD": "AzureCloud"}  # without it azureml-mlflow requests a list of clouds
        return self.job_environment(run_id, home, token_seconds) | mlflow | cloud

    def workspace_environment(self, home: Path) -> dict[str, str]:
        """The environment variables with which an unmodified client submits to the emulator.

        The client authenticates with ``user_token``. ``home`` is created if it doesn't exist; use it for nothing else,
        because the client caches addresses and its last snapshot in it.
        """
        variables = client_variables(home, self._state, self._authority)
        return variables | {
            # without the cloud's name, the client requests a list of clouds and waits long for it
            "AZUREML_CURRENT_CLOUD": "AzureCloud",
            # the native part of azureml-dataprep reads only this variable
            "SSL_CERT_FILE": variables["REQUESTS_CA_BUNDLE"],
        }

    def login_environment(self) -> dict[str, str]:
        """The environment variables with which scripts of both SDKs and ``submit`` log in by themselves.

        azure-identity's ``DefaultAzureCredential`` takes the service principal before anything else, so that it asks no
        managed identity.
        """
        return {
            "AZURE_TENANT_ID": workspace.TENANT,
            "AZURE_CLIENT_ID": workspace.CLIENT_ID,
            "AZURE_CLIENT_SECRET": self._state.client_secret,
            "AZUREML_SERVICE_PRINCIPAL_TENANT_ID": workspace.TENANT,
            "AZUREML_SERVICE_PRINCIPAL_ID": workspace.CLIENT_ID,
            "AZUREML_SERVICE_PRINCIPAL_PASSWORD": self._state.client_secret,
            "AZUREML_ACCESS_TOKEN": self.user_token(),
        }

    def write_workspace_config(self, folder: Path) -> Path:
        """Writes the ``config.json`` that ``Workspace.from_config`` reads, and returns its path."""
        return write_config(folder)

    def user_token(self) -> str:
        """A token that a ``TokenAuthentication`` returns for any audience."""
        return self._state.tokens.issue_to_user(time.time() + USER_TOKEN_SECONDS)

    def inject(self, fault: Fault) -> None:
        self._state.faults.inject(fault)

    def clear_faults(self) -> None:
        """Ends all faults. Delayed requests continue; requests without a response lose their connection."""
        self._state.faults.clear()

    def revoke_tokens(self) -> None:
        """Makes all tokens invalid, except for requesting new ones."""
        self._state.tokens.revoke()

    def new_run(self, experiment: str = "emulator") -> Run:
        """Creates a running run, as the platform does for a job."""
        with self._state.lock:
            return self._state.add_run(experiment).copy()

    def run(self, run_id: str) -> Run:
        """A run as it is now.

        Raises:
            KeyError: There is no such run.
        """
        with self._state.lock:
            return self._state.runs[run_id].copy()

    def set_run_status(self, run_id: str, status: str, error: str | None = None) -> None:
        """Sets a status, such as Queued, Preparing, Running, Completed, Failed (with an error) or Canceled.

        Raises:
            KeyError: There is no such run.
            ValueError: There is no such status.
        """
        with self._state.lock:
            jobs.set_status(self._state.runs[run_id], status, error)

    def submit_child(
        self, parent: str, run_id: str, configuration: dict[str, Any], files: dict[str, bytes], tags: dict[str, str]
    ) -> None:
        """Submits a job as a child of a run, such as that of a sweep."""
        with self._state.lock:
            experiment = self._state.runs[parent].experiment
            job = SubmittedJob(run_id, experiment, {"Configuration": configuration}, files)
            run = jobs.queue(self._state, job)
            run.parent = parent
            run.tags |= tags

    def submit_v2_child(self, sweep: SubmittedJob, run_id: str, values: Mapping[str, Any]) -> None:
        """Submits the job of a sweep of SDK v2 with these hyperparameters."""
        with self._state.lock:
            body = {"properties": sweep_job.trial(sweep.definition["properties"], values)}
            run = arm_jobs.queue(self._state, SubmittedJob(run_id, sweep.experiment, body, sweep.files))
            run.parent, run.display_name = sweep.run_id, run_id
            run.tags |= {"hyperparameters": json.dumps(values)}

    def set_property(self, run_id: str, name: str, value: str) -> None:
        """Sets a property of a run, as the platform does."""
        with self._state.lock:
            self._state.runs[run_id].properties[name] = value

    def tag_run(self, run_id: str, tags: dict[str, str]) -> None:
        """Adds tags to a run."""
        with self._state.lock:
            self._state.runs[run_id].tags |= tags

    def add_artifact(self, run_id: str, path: str, content: bytes) -> None:
        """Adds or replaces a file that the platform collects, such as user_logs/std_log.txt."""
        with self._state.lock:
            run = self._state.runs[run_id]
            if path not in run.paths:
                run.paths.append(path)
            run.artifacts[path] = content

    def metadata_address(self, node: str) -> str:
        """The address of a node's metadata service, which a virtual machine of Azure has at 169.254.169.254."""
        return f"{self.url}{metadata.NODES}/{node}"

    def announce_eviction(self, nodes: Sequence[str], seconds: float, disk_is_kept: bool = True) -> str:
        """Announces on all nodes that these will be taken away, and returns the id of the event."""
        with self._state.lock:
            return metadata.announce(self._state, nodes, seconds, disk_is_kept)

    def withdraw_eviction(self, eviction_id: str) -> None:
        """The event is listed no more: it is withdrawn, or over.

        Raises:
            KeyError: There is no such event.
        """
        with self._state.lock:
            metadata.withdraw(self._state, eviction_id)

    def output_addresses(self, run_id: str) -> dict[str, str]:
        """Where the outputs of a job of SDK v2 are kept, by their names.

        Raises:
            KeyError: There is no such job.
        """
        with self._state.lock:
            sent = {job.run_id: job.definition for job in self._state.jobs}[run_id]["properties"]
            return {name: output["uri"] for name, output in command_job.output_addresses(sent, run_id).items()}

    @property
    def evictions(self) -> list[Eviction]:
        """Those that are announced, and neither withdrawn nor over."""
        with self._state.lock:
            return list(self._state.evictions)

    @property
    def jobs(self) -> list[SubmittedJob]:
        """Submitted jobs in their order."""
        with self._state.lock:
            return list(self._state.jobs)

    @property
    def sweeps(self) -> list[SubmittedJob]:
        """Submitted sweeps in their order."""
        with self._state.lock:
            return list(self._state.sweeps)

    @property
    def requests(self) -> list[RecordedRequest]:
        """Requests in the order of their responses."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def unknown(self) -> list[str]:
        """Requests without a route, as "METHOD path"."""
        with self._state.lock:
            return list(self._state.unknown)
