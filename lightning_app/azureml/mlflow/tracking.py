"""Where MLflow runs are, from ``MLFLOW_TRACKING_URI``."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_WORKSPACE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/?]+"
)


@dataclass(frozen=True)
class Tracking:
    """A server, or a workspace of Azure ML.

    Args:
        url: What the paths of the interface, ``/api/2.0/mlflow/...``, are appended to.
        scope: The path of the workspace in the addresses of Azure ML; empty for a server.
    """

    url: str
    scope: str = ""

    @property
    def is_azure(self) -> bool:
        return bool(self.scope)

    @property
    def host(self) -> str:
        """The address of Azure ML's other interfaces."""
        return self.url.partition("/mlflow/")[0]

    @property
    def shown(self) -> str:
        """Without a password."""
        return urlsplit(self.url)._replace(netloc=_host(urlsplit(self.url))).geturl()


def parse_tracking(uri: str) -> Tracking | None:
    """None for an address that isn't that of a server, such as a folder or a database."""
    parts = urlsplit(uri.strip())
    if parts.scheme in ("http", "https") and parts.hostname:
        return Tracking(parts._replace(query="", fragment="").geturl().rstrip("/"))
    workspace = _WORKSPACE.search(parts.path)
    if parts.scheme == "azureml" and parts.hostname and workspace:
        # the address says v1.0 as well, which is the interface of MLflow 1
        return Tracking(f"https://{parts.netloc}/mlflow/v2.0{workspace[0]}", workspace[0])
    return None


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
