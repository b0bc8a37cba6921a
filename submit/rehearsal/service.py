"""The service as tests and programs use it."""

import threading
import time
from pathlib import Path
from types import TracebackType

from submit.rehearsal import workspace
from submit.rehearsal.certificates import Authority
from submit.rehearsal.faults import Fault
from submit.rehearsal.server import Server
from submit.rehearsal.state import RegisteredModel, Request, Run, State


class AzureMLService:
    """A loopback Azure ML service that keeps everything in memory and talks to nobody.

    Stopping and starting it again is a service that dies and comes back: on the same port, knowing what it knew.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._state = State()
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

    def __enter__(self) -> "AzureMLService":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def new_run(self, experiment: str = "rehearsal") -> Run:
        """A run that has begun, as the platform makes one for a job."""
        with self._state.lock:
            return self._state.add_run(experiment).copy()

    def run(self, run_id: str) -> Run:
        """A copy of the run as it is now; KeyError where there is none."""
        with self._state.lock:
            return self._state.runs[run_id].copy()

    def job_environment(self, run_id: str, home: Path, token_seconds: float = 3600) -> dict[str, str]:
        """What the platform tells a job, and what leads an unmodified client here and nowhere else.

        The home is made if need be. It should be used for nothing else: the client keeps addresses in it.
        """
        run = self.run(run_id)
        home.mkdir(parents=True, exist_ok=True)
        certificate = home / "rehearsal-authority.pem"
        self._authority.write_certificate(certificate)
        expires = time.time() + token_seconds
        return {
            "AZUREML_ARM_SUBSCRIPTION": workspace.SUBSCRIPTION,
            "AZUREML_ARM_RESOURCEGROUP": workspace.RESOURCE_GROUP,
            "AZUREML_ARM_WORKSPACE_NAME": workspace.WORKSPACE,
            "AZUREML_ARM_PROJECT_NAME": run.experiment,
            "AZUREML_EXPERIMENT_ID": workspace.experiment_id(run.experiment),
            "AZUREML_WORKSPACE_ID": workspace.WORKSPACE_ID,
            "AZUREML_RUN_ID": run.id,
            "AZUREML_RUN_TOKEN": self._state.tokens.issue(run.id, expires),
            "AZUREML_RUN_TOKEN_EXPIRY": str(int(expires)),
            "AZUREML_SERVICE_ENDPOINT": self.url,
            "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{self.url}/discovery/workspaces/{workspace.WORKSPACE_ID}",
            "HOME": str(home),
            "REQUESTS_CA_BUNDLE": str(certificate),
        } | _proxies(self.url)

    def order(self, fault: Fault) -> None:
        self._state.faults.order(fault)

    def clear_faults(self) -> None:
        """Requests that are held up go on at once; those that wait in silence lose their connection."""
        self._state.faults.clear()

    def revoke_tokens(self) -> None:
        """Tokens issued so far serve for getting a new one, and for nothing else."""
        self._state.tokens.revoke()

    @property
    def models(self) -> list[RegisteredModel]:
        with self._state.lock:
            return list(self._state.models)

    @property
    def requests(self) -> list[Request]:
        """In the order in which they were answered, or lost."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def unknown(self) -> list[str]:
        """Each request that nobody here knows, as "METHOD path"."""
        with self._state.lock:
            return list(self._state.unknown)


def _proxies(url: str) -> dict[str, str]:
    """Programs read these names in capitals, in small letters, or both."""
    here = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1,localhost"}
    return here | {name.lower(): value for name, value in here.items()}
