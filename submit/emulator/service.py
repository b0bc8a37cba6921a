"""The service as tests and programs use it."""

import threading
import time
from pathlib import Path
from types import TracebackType

from submit.rehearsal import variables
from submit.rehearsal.certificates import Authority
from submit.rehearsal.faults import Fault
from submit.rehearsal.platform import Platform
from submit.rehearsal.server import Server

USER_TOKEN_SECONDS = 24 * 3600


class AzureMLService(Platform):
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

    def __enter__(self) -> "AzureMLService":
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
        told = variables.job_variables(self.run(run_id), self._state, token_seconds)
        return told | variables.surroundings(home, self._state, self._authority)

    def workspace_environment(self, home: Path) -> dict[str, str]:
        """What leads an unmodified client here that submits; who it is, it must be told by ``user_token``.

        The home is made if need be. It should be used for nothing else: the client keeps addresses in it, and what it
        knows of the last snapshot.
        """
        surroundings = variables.surroundings(home, self._state, self._authority)
        return surroundings | {
            # without a name for the cloud, the client asks for a list of clouds and waits long for it
            "AZUREML_CURRENT_CLOUD": "AzureCloud",
            # the part of azureml-dataprep that isn't Python finds the authority by this name only
            "SSL_CERT_FILE": surroundings["REQUESTS_CA_BUNDLE"],
        }

    def write_workspace_config(self, folder: Path) -> Path:
        """The file config.json that ``Workspace.from_config`` reads; its path."""
        return variables.write_config(folder)

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
