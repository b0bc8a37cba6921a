"""What a client needs to reach the emulator and nothing else: variables, a certificate and ``config.json``."""

import json
import time
from pathlib import Path

from submit.emulator import workspace
from submit.emulator.server import Authority
from submit.emulator.state import Run, State


def job_variables(run: Run, state: State, token_seconds: float) -> dict[str, str]:
    """The variables that the platform sets for a job."""
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


def mlflow_variables(run: Run, state: State, token_seconds: float) -> dict[str, str]:
    """What the platform sets for a job beside the other variables, so that MLflow logs to its run."""
    return {
        "MLFLOW_TRACKING_URI": f"azureml://{workspace.API_HOST}/mlflow/v1.0{workspace.SCOPE}",
        "MLFLOW_TRACKING_TOKEN": state.tokens.issue(run.id, time.time() + token_seconds),
        "MLFLOW_RUN_ID": run.id,
        "MLFLOW_EXPERIMENT_ID": workspace.experiment_id(run.experiment),
        "MLFLOW_EXPERIMENT_NAME": run.experiment,
    }


def client_variables(home: Path, state: State, authority: Authority) -> dict[str, str]:
    """Proxies, the certificate authority, and the home folder, into which its certificate is written."""
    home.mkdir(parents=True, exist_ok=True)
    certificate = home / "emulator-authority.pem"
    authority.write_certificate(certificate)
    return {"HOME": str(home), "REQUESTS_CA_BUNDLE": str(certificate)} | _proxies(state.url)


def write_config(folder: Path) -> Path:
    """Writes the file that identifies the workspace."""
    path = folder / "config.json"
    config = {
        "subscription_id": workspace.SUBSCRIPTION,
        "resource_group": workspace.RESOURCE_GROUP,
        "workspace_name": workspace.WORKSPACE,
    }
    path.write_text(json.dumps(config, indent=4) + "\n")
    return path


def _proxies(url: str) -> dict[str, str]:
    """Programs read these variables in upper case, in lower case, or both."""
    proxies = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1,localhost"}
    return proxies | {name.lower(): value for name, value in proxies.items()}
