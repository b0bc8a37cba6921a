"""The emulator as tests and programs use it: started, stopped, and asked what it holds."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from submit.emulator import datetimes, workspace
from submit.emulator.api import blobs, environments
from submit.emulator.api.jobs import set_status
from submit.emulator.faults import Fault
from submit.emulator.server import Authority, Server
from submit.emulator.state import Compute, RecordedRequest, RegisteredModel, Run, State, SubmittedJob


class Platform:
    """What a service holds, and what happens in it without a request; all that it hands out are copies."""

    def __init__(self) -> None:
        self._state = State()

    def new_run(self, experiment: str = "rehearsal") -> Run:
        """A run that has begun, as the platform makes one for a job."""
        with self._state.lock:
            return self._state.add_run(experiment).copy()

    def run(self, run_id: str) -> Run:
        """A copy of the run as it is now; KeyError where there is none."""
        with self._state.lock:
            return self._state.runs[run_id].copy()

    def set_run_status(self, run_id: str, status: str, error: str | None = None) -> None:
        """From Queued over Preparing and Running to Completed, Failed (with an error) or Canceled.

        Raises:
            KeyError: There is no such run.
            ValueError: There is no such status.
        """
        with self._state.lock:
            set_status(self._state.runs[run_id], status, error)

    def add_artifact(self, run_id: str, path: str, content: bytes) -> None:
        """A file that the platform collects, such as user_logs/std_log.txt; added again, it has the new content."""
        with self._state.lock:
            run = self._state.runs[run_id]
            if path not in run.paths:
                run.paths.append(path)
            run.artifacts[path] = content

    def add_compute(self, name: str, vm_size: str, nodes: int) -> None:
        """A cluster of up to so many nodes, which has been there for long."""
        with self._state.lock:
            self._state.computes[name] = Compute(name, vm_size, nodes, datetimes.now())

    def add_environment(self, name: str, image: str) -> None:
        """An environment that can be had by its name, such as those that Azure provides."""
        with self._state.lock:
            environments.add(self._state, name, environments.image_content(image))

    def add_datastore_file(self, path: str, content: bytes) -> None:
        """A file of the default datastore."""
        with self._state.lock:
            blobs.store(self._state.datastore, path, content, blobs.md5(content))

    @property
    def jobs(self) -> list[SubmittedJob]:
        """In the order in which they were submitted."""
        with self._state.lock:
            return list(self._state.jobs)

    @property
    def sweeps(self) -> list[SubmittedJob]:
        """The same of sweeps."""
        with self._state.lock:
            return list(self._state.sweeps)

    @property
    def computes(self) -> list[Compute]:
        with self._state.lock:
            return [replace(compute) for compute in self._state.computes.values()]

    @property
    def datastore(self) -> dict[str, bytes]:
        """What is in the default datastore, by path."""
        with self._state.lock:
            return dict(self._state.datastore.artifacts)

    @property
    def models(self) -> list[RegisteredModel]:
        with self._state.lock:
            return list(self._state.models)

    @property
    def requests(self) -> list[RecordedRequest]:
        """In the order in which they were answered, or lost."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def unknown(self) -> list[str]:
        """Each request that nobody here knows, as "METHOD path"."""
        with self._state.lock:
            return list(self._state.unknown)


USER_TOKEN_SECONDS = 24 * 3600


class AzureMLEmulator(Platform):
    """A loopback Azure ML service that keeps everything in memory and talks to nobody.

    Stopping and starting it again is a service that dies and comes back: on the same port, knowing what it knew.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.port = port
        self._authority = Authority()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Known from the first start on, if the port was left open."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens when it returns; OSError where the port is taken."""
        self._server = Server(self.port, self._state, self._authority)
        self.port = self._server.server_address[1]
        self._state.url = self.url
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens when it returns, and all connections have ended; does nothing where it was stopped before."""
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
        """What the platform tells the job of a run, and what leads an unmodified client here and nowhere else.

        The home is made if need be. It should be used for nothing else: the client keeps addresses in it.
        """
        told = job_variables(self.run(run_id), self._state, token_seconds)
        return told | client_variables(home, self._state, self._authority)

    def workspace_environment(self, home: Path) -> dict[str, str]:
        """What leads an unmodified client here that submits; who it is, it must be told by ``user_token``.

        The home is made if need be. It should be used for nothing else: the client keeps addresses in it, and what it
        knows of the last snapshot.
        """
        surroundings = client_variables(home, self._state, self._authority)
        return surroundings | {
            # without a name for the cloud, the client asks for a list of clouds and waits long for it
            "AZUREML_CURRENT_CLOUD": "AzureCloud",
            # the part of azureml-dataprep that isn't Python finds the authority by this name only
            "SSL_CERT_FILE": surroundings["REQUESTS_CA_BUNDLE"],
        }

    def write_workspace_config(self, folder: Path) -> Path:
        """The file config.json that ``Workspace.from_config`` reads; its path."""
        return write_config(folder)

    def user_token(self) -> str:
        """What a ``TokenAuthentication`` returns for any audience."""
        return self._state.tokens.issue_to_user(time.time() + USER_TOKEN_SECONDS)

    def order(self, fault: Fault) -> None:
        self._state.faults.order(fault)

    def clear_faults(self) -> None:
        """Requests that are held up go on at once; those that wait in silence lose their connection."""
        self._state.faults.clear()

    def revoke_tokens(self) -> None:
        """Tokens issued so far serve for getting a new one, and for nothing else."""
        self._state.tokens.revoke()


def job_variables(run: Run, state: State, token_seconds: float) -> dict[str, str]:
    """What the platform tells a job."""
    expires = time.time() + token_seconds
    return {
        "AZUREML_ARM_SUBSCRIPTION": workspace.SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": workspace.RESOURCE_GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": workspace.WORKSPACE,
        "AZUREML_ARM_PROJECT_NAME": run.experiment,
        "AZUREML_EXPERIMENT_ID": workspace.experiment_id(run.experiment),
        "AZUREML_WORKSPACE_ID": workspace.WORKSPACE_ID,
        "AZUREML_RUN_ID": run.id,
        "AZUREML_RUN_TOKEN": state.tokens.issue(run.id, expires),
        "AZUREML_RUN_TOKEN_EXPIRY": str(int(expires)),
        "AZUREML_SERVICE_ENDPOINT": state.url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{state.url}/discovery/workspaces/{workspace.WORKSPACE_ID}",
    }


def client_variables(home: Path, state: State, authority: Authority) -> dict[str, str]:
    """Proxies, the authority to trust, and a home, which is made if need be and gets the authority's certificate."""
    home.mkdir(parents=True, exist_ok=True)
    certificate = home / "rehearsal-authority.pem"
    authority.write_certificate(certificate)
    return {"HOME": str(home), "REQUESTS_CA_BUNDLE": str(certificate)} | _proxies(state.url)


def write_config(folder: Path) -> Path:
    """The file by which a client knows the workspace."""
    path = folder / "config.json"
    config = {
        "subscription_id": workspace.SUBSCRIPTION,
        "resource_group": workspace.RESOURCE_GROUP,
        "workspace_name": workspace.WORKSPACE,
    }
    path.write_text(json.dumps(config, indent=4) + "\n")
    return path


def _proxies(url: str) -> dict[str, str]:
    """Programs read these names in capitals, in small letters, or both."""
    here = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1,localhost"}
    return here | {name.lower(): value for name, value in here.items()}
