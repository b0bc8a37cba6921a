"""Secrets in a snapshot, by the names of files and by their text. The secret itself is never shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from submit.preflight.findings import Finding, error
from submit.preflight.snapshot import Snapshot

_FILE_NAMES = {
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
_PYTHON = {".py", ".pyi", ".ipynb"}  # credentials.py is code, whose text is searched like any other
_PUBLIC = re.compile(rb"-----BEGIN (CERTIFICATE|PUBLIC KEY|RSA PUBLIC KEY)-----")
_WORKSPACE_KEYS = {"subscription_id", "resource_group", "workspace_name"}


def check_secret_names(snapshot: Snapshot) -> list[Finding]:
    return [
        error(f"snapshot: {name!r} looks like {kind} and would be uploaded; add it to .amlignore")
        for name in snapshot.files
        if (kind := kind_of_file(snapshot.folder, name))
    ]


def kind_of_file(folder: Path, name: str) -> str | None:
    """The kind of secret that a file seems to have by its name; None if it doesn't."""
    last = name.rpartition("/")[2].lower()
    if Path(last).suffix in _PYTHON or (last.endswith(".pem") and _is_public(folder / name)):
        return None
    if last.endswith(".json") and _names_a_workspace(folder / name):
        return "the address of an Azure ML workspace"
    kinds = [kind for pattern, kind in _FILE_NAMES.items() if re.fullmatch(pattern, last, re.DOTALL)]
    kinds += [kind for pattern, kind in _PATHS.items() if re.fullmatch(pattern, name.lower(), re.DOTALL)]
    return next(iter(kinds), None)


def _is_public(path: Path) -> bool:
    content = path.read_bytes()
    return bool(_PUBLIC.search(content)) and b"PRIVATE" not in content


def _names_a_workspace(path: Path) -> bool:
    """Whether this is a ``config.json`` of Azure ML Studio, under any name."""
    if path.stat().st_size > 10_000:
        return False
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and content.keys() >= _WORKSPACE_KEYS


MAX_BYTES = 1024 * 1024  # larger files aren't searched
# neither a name nor a call
_VALUE = rb"""\s*[=:]\s*['"]?(?=[A-Za-z~_.+/-]*\d)[A-Za-z0-9~_.+/-]{16,}(?![A-Za-z0-9~_.+/(\[-])"""
_KINDS = {
    rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----": "a private key",
    rb"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}": "the key of a storage account",
    rb"(?i:[?&;]|SharedAccessSignature=)sig=[A-Za-z0-9%+/]{20,}": "a shared access signature",
    rb"(?i:AZURE_CLIENT_SECRET|AZURE_PASSWORD|CLIENT_?SECRET)['\"]?" + _VALUE: "the secret of a service principal",
    rb"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])": "the secret of a service principal",
    rb"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})": "a token of GitHub",
    rb"\bgl(pat|dt|rt|cbt|ptt)-[A-Za-z0-9_-]{20,}": "a token of GitLab",
    rb"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b": "a token of Azure DevOps",
    rb"\b(?=[a-z]*[2-7])(?=[2-7]*[a-z])[a-z2-7]{52}\b": "a token of Azure DevOps",
    rb"\bhf_[A-Za-z0-9]{30,}": "a token of Hugging Face",
    rb"\bAKIA[0-9A-Z]{16}\b": "a key of AWS",
    rb"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}": "a JSON web token",
    rb"://[^\s/:@'\"]*:[\w.~%+-]{20,}@": "an address with a password",
}
_PATTERNS = [(re.compile(pattern), kind) for pattern, kind in _KINDS.items()]


def check_secret_texts(snapshot: Snapshot) -> list[Finding]:
    return [
        error(f"snapshot: {name!r} line {line} has {kind}; remove it, or name the file in .amlignore")
        for name, size in snapshot.files.items()
        if size <= MAX_BYTES
        for line, kind in secrets_in(_text(snapshot.folder / name))
    ]


def secrets_in(text: bytes) -> Iterator[tuple[int, str]]:
    """The line, counted from 1, and the kind of the first secret of each kind."""
    seen = set()
    for pattern, kind in _PATTERNS:
        match = pattern.search(text)
        if match and kind not in seen:
            seen.add(kind)
            yield text.count(b"\n", 0, match.start()) + 1, kind


def _text(path: Path) -> bytes:
    """The content of a text file in UTF-8; empty for other files."""
    try:
        content = path.read_bytes()
    except OSError:
        return b""  # it was deleted since it was listed
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # PowerShell writes redirections like this
        return content.decode("utf-16", errors="replace").encode()
    return b"" if b"\0" in content[:8192] else content
