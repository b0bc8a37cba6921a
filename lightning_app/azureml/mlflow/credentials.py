"""What a request to MLflow authenticates with, from the variables that MLflow's own client reads."""

import base64
import configparser
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from lightning_app.azureml.mlflow.tracking import Tracking

log = logging.getLogger(__name__)

TOKENS = ("AZUREML_RUN_TOKEN", "MLFLOW_TRACKING_TOKEN")
_REFRESH_SECONDS = 95.0  # before the token expires, as Azure ML's own clients
_TIMEOUT = 20.0


class Bearer(requests.auth.AuthBase):
    """A token that doesn't change."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class RunToken(Bearer):
    """The token of an Azure ML job, which is replaced by a new one before it expires."""

    def __init__(self, tracking: Tracking, environment: Mapping[str, str]) -> None:
        super().__init__(next(environment[name] for name in TOKENS if environment.get(name)))
        experiment, run = environment.get("AZUREML_EXPERIMENT_ID"), environment.get("MLFLOW_RUN_ID")
        experiment = experiment or environment.get("MLFLOW_EXPERIMENT_ID")
        runs = f"{tracking.host}/history/v1.0{tracking.scope}/experimentids/{experiment}/runs"
        self._address = f"{runs}/{run}/token" if experiment and run else None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        expires = expiry(self.token)
        if self._address is not None and expires is not None and expires - time.time() < _REFRESH_SECONDS:
            self._refresh(self._address)
        return super().__call__(request)

    def _refresh(self, address: str) -> None:
        """Where this fails, the request says why it isn't authorized."""
        try:
            response = requests.get(address, auth=Bearer(self.token), timeout=_TIMEOUT)
            response.raise_for_status()
            self.token = str(response.json()["token"])
        except (requests.RequestException, KeyError, TypeError) as error:
            log.info("The token of the run wasn't renewed: %s", error)


def expiry(token: str) -> float | None:
    """In seconds since 1970; None where the token doesn't say."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def configured_session(tracking: Tracking, environment: Mapping[str, str] = os.environ) -> requests.Session:
    """A session with what MLflow's variables say about credentials and certificates."""
    session = requests.Session()
    session.auth = _auth(tracking, environment)
    if environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
        session.verify = False
    elif certificate := environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        session.verify = certificate
    session.cert = environment.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
    return session


def _auth(tracking: Tracking, environment: Mapping[str, str]) -> Any:
    if tracking.is_azure:
        return RunToken(tracking, environment)
    saved = _saved_credentials()
    user = environment.get("MLFLOW_TRACKING_USERNAME") or saved.get("mlflow_tracking_username")
    password = environment.get("MLFLOW_TRACKING_PASSWORD") or saved.get("mlflow_tracking_password")
    if user and password:
        return (user, password)
    token = environment.get("MLFLOW_TRACKING_TOKEN")
    return Bearer(token) if token else None


def _saved_credentials() -> Mapping[str, str]:
    """Those of ``~/.mlflow/credentials``."""
    file = configparser.ConfigParser()
    try:
        file.read(Path.home() / ".mlflow" / "credentials")
    except (configparser.Error, OSError, RuntimeError, UnicodeDecodeError):
        return {}
    return file["mlflow"] if file.has_section("mlflow") else {}
