"""The environment variables that lead an unmodified client here and nowhere else."""

import json
import time
from pathlib import Path

from submit.rehearsal import workspace
from submit.rehearsal.certificates import Authority
from submit.rehearsal.runs import Run
from submit.rehearsal.state import State


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


def surroundings(home: Path, state: State, authority: Authority) -> dict[str, str]:
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
