"""A user with a workspace, and scripts of the real azure-ai-ml (SDK v2)."""

import http.client
import json
import ssl
from typing import Any

from submit.emulator.workspace import RESOURCE_MANAGER_HOST
from tests.support.submitters import Submitter

ENVIRONMENT = "acpt-pytorch-2.8-cuda12.6"  # in Azure's registry
PRELUDE = """
import json, os, pathlib, sys, time, warnings
warnings.simplefilter("ignore")
from azure.ai.ml import Input, MLClient, MpiDistribution, Output, PyTorchDistribution, command
from azure.ai.ml.entities import AmlCompute, Data, Environment, Model
from azure.core.credentials import AccessToken

class Credential:
    def get_token(self, *scopes, **settings):
        return AccessToken(os.environ["TOKEN"], int(time.time()) + 3600)

ml = MLClient.from_config(Credential())

def training(**further):
    settings = dict(
        code="src", command="python train.py", compute="gpu-cluster", experiment_name="exp",
        environment="azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/versions/1")
    return command(**{**settings, **further})
"""


class V2Submitter(Submitter):
    """A submitter whose scripts have ``ml``, a client of SDK v2, and ``training``, which describes a job."""

    prelude = PRELUDE

    def with_sources(self) -> "V2Submitter":
        self.service.add_registry_environment(ENVIRONMENT, "registry/acpt:1")
        super().with_sources()
        return self

    def manage(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """Status and content of the resource manager's response to a request."""
        certificate = self.service.workspace_environment(self.folder / "home")["REQUESTS_CA_BUNDLE"]
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.service.port, timeout=10, context=context)
        connection.set_tunnel(RESOURCE_MANAGER_HOST)
        try:
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or "null")
        finally:
            connection.close()
