"""The key that only the processes of one training have, and how they prove to one another that they have it."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

JOB_KEY = "LIGHTNING_APP_JOB_KEY"  # random; set by submit, or by the process in which Lightning starts the others
# distinguish a training from another one on the same nodes; Open MPI 5 sets PMIX_NAMESPACE, and 4 the last one
_JOB_IDS = ("AZUREML_RUN_ID", "TORCHELASTIC_RUN_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")
_RESTARTS = "TORCHELASTIC_RESTART_COUNT"  # torchrun starts the same processes again
_AGENT, _COORDINATOR = "agent", "coordinator"  # who proves: an answer can't be sent back as one's own


def job_key(environment: Mapping[str, str]) -> bytes:
    """The same in all processes of a training, from what their launcher gives to all of them.

    Nobody else knows it where ``JOB_KEY`` is set. Otherwise it only distinguishes trainings.
    """
    job = next((environment[name] for name in _JOB_IDS if name in environment), "")
    parts = [environment.get(JOB_KEY, ""), job, environment.get(_RESTARTS, "")]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def random_key() -> str:
    """For ``JOB_KEY``; also used once only, as a nonce."""
    return secrets.token_hex(16)


def agent_proof(key: bytes, nonce: str, own_nonce: str, process: Mapping[str, Any]) -> str:
    """Says that an agent has the key; ``nonce`` is the coordinator's."""
    return _proof(key, _AGENT, nonce, own_nonce, dict(process))


def coordinator_proof(key: bytes, nonce: str, own_nonce: str) -> str:
    """Says that the coordinator has the key; ``nonce`` is the agent's."""
    return _proof(key, _COORDINATOR, nonce, own_nonce)


def is_proof(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _proof(key: bytes, *parts: Any) -> str:
    return hmac.new(key, json.dumps(parts, sort_keys=True).encode(), hashlib.sha256).hexdigest()
