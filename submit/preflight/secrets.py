"""Files that are known by their names to hold secrets, or to say where they lead."""

import json
import re
from pathlib import Path

from submit.preflight.findings import Finding, error
from submit.preflight.snapshot import Snapshot

_NAMES = {
    r"\.env(\.(?!example$|sample$|template$|dist$).*)?": "a file of environment variables",
    r".*\.(pem|key|ppk)": "a key file",
    r".*\.(pfx|p12|jks|keystore|kdbx)": "a store of keys",
    r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?": "an SSH key",
    r"[._]netrc|\.git-credentials|\.pypirc|\.npmrc|\.htpasswd|\.pgpass": "a file of passwords",
    r"kubeconfig.*|.*\.kubeconfig": "a Kubernetes configuration",
    r"(client_secrets?|service[-_]?principal|credentials)(\..*)?|.*\.publishsettings": "a file of credentials",
    r"accesstokens\.json|azureprofile\.json|msal_token_cache\.(bin|json)": "a store of tokens",
}
_PATHS = {
    r"(.*/)?\.kube/config": "a Kubernetes configuration",
    r"(.*/)?\.(aws|azure|ssh)/.*": "a file of credentials",
    r"(.*/)?\.docker/config\.json": "a file of passwords",
}
_PYTHON = {".py", ".pyi", ".ipynb"}  # credentials.py is code, whose text is looked at like any other
_PUBLIC = re.compile(rb"-----BEGIN (CERTIFICATE|PUBLIC KEY|RSA PUBLIC KEY)-----")
_WORKSPACE_KEYS = {"subscription_id", "resource_group", "workspace_name"}


def check_secret_names(snapshot: Snapshot) -> list[Finding]:
    return [
        error(f"snapshot: {name!r} looks like {kind}, which would be uploaded; add it to .amlignore")
        for name in snapshot.files
        if (kind := kind_of_file(snapshot.folder, name))
    ]


def kind_of_file(folder: Path, name: str) -> str | None:
    """What sort of secret a file seems to hold; None if its name says nothing of the kind."""
    last = name.rpartition("/")[2].lower()
    if Path(last).suffix in _PYTHON or (last.endswith(".pem") and _is_public(folder / name)):
        return None
    if last.endswith(".json") and _names_a_workspace(folder / name):
        return "the address of an Azure ML workspace"
    kinds = [kind for pattern, kind in _NAMES.items() if re.fullmatch(pattern, last, re.DOTALL)]
    kinds += [kind for pattern, kind in _PATHS.items() if re.fullmatch(pattern, name.lower(), re.DOTALL)]
    return next(iter(kinds), None)


def _is_public(path: Path) -> bool:
    content = path.read_bytes()
    return bool(_PUBLIC.search(content)) and b"PRIVATE" not in content


def _names_a_workspace(path: Path) -> bool:
    """Whether this is the ``config.json`` that Azure ML Studio offers, whatever it is called."""
    if path.stat().st_size > 10_000:
        return False
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and content.keys() >= _WORKSPACE_KEYS
