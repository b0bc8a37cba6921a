"""Secrets in a snapshot, and in the environment variables of a job."""

from pathlib import Path

import pytest

from submit.preflight.checks import check_folder
from submit.preflight.secrets import secrets_in
from submit.preflight.settings import check_variables
from submit.preflight.snapshot_checks import MEGABYTE
from submit.v1.sdk import SDK
from tests.support.preflight import about, write

SECRETS = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----",
    "the key of a storage account": "DefaultEndpointsProtocol=https;Account" + "Key=" + "aB3/" * 21 + "ab==",
    "a shared access signature": "https://account.blob.core.windows.net/c/f?sv=2020-08-04&si"
    + "g="
    + "a%2B2" * 10
    + "&se=2030",
    "the secret of a service principal": "AZURE_CLIENT" + "_SECRET=" + "abc1Q" + "xyz-9" * 6,
    "a token of GitHub": "token: gh" + "p_" + "a1B2" * 9,
    "a token of GitLab": "glp" + "at-" + "a1B2c3" * 4,
    "a token of Azure DevOps": "pat = '" + "a1B2" * 19 + "AZ" + "DO" + "x1Y2'",
    "a token of Hugging Face": "hf" + "_" + "aBcD" * 9,
    "a key of AWS": "AK" + "IA" + "ABCD1234EFGH5678",
    "a JSON web token": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0In0." + "abcD" * 8,
    "an address with a password": "https://me:" + "a1B2c3" * 5 + "@dev.azure.com/o/p/_git/r",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("kind", "text"), SECRETS.items(), ids=SECRETS)
def test_a_secret_is_reported_by_file_line_and_kind_and_never_itself(
    project: Path, kind: str, text: str, encoding: str
) -> None:
    (project / "models" / "notes.txt").write_text(f"first\n{text}\n", encoding=encoding)

    (finding,) = check_folder(project, SDK)

    assert finding.level == "error"
    assert finding.text.startswith(f"snapshot: 'models/notes.txt' line 2 has {kind}; ")
    assert text[-12:] not in finding.text


@pytest.mark.parametrize(
    "text",
    [
        "AZURE_CLIENT_SECRET = os.environ['AZURE_CLIENT_SECRET']",
        "export AZURE_CLIENT_SECRET=$(az account get-access-token)",
        "client_secret=settings.azure_client_secret_value)",
        "AccountKey=<your key>",
        "https://user:password@example.com/",
        "sha256:" + "a1" * 32,
        "git@github.com:owner/repository.git",
        "sig=short",
    ],
)
def test_code_about_secrets_has_none(text: str) -> None:
    assert list(secrets_in(text.encode())) == []


def test_binary_and_large_files_are_not_searched(project: Path) -> None:
    secret = next(iter(SECRETS.values())).encode()
    (project / "binary.bin").write_bytes(b"\0" + secret)
    (project / "large.txt").write_bytes(secret + b" " * MEGABYTE)

    assert check_folder(project, SDK) == []


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "certs/server.pem",
        "a.key",
        "id_rsa",
        "models/id_ed25519",
        "kubeconfig",
        "kubeconfig.yaml",
        ".kube/config",
        ".netrc",
        ".git-credentials",
        ".azure/azureProfile.json",
        "a.pfx",
        "credentials",
        ".aws/config",
    ],
)
def test_files_that_are_known_for_secrets_are_errors(project: Path, name: str) -> None:
    write(project, name)

    (finding,) = check_folder(project, SDK)

    assert finding.level == "error"
    assert finding.text.startswith(f"snapshot: {name!r} looks like ")


@pytest.mark.parametrize("name", [".env.example", "environment.yml", "credentials.py", "keys.txt", "config.json"])
def test_harmless_names_are_no_secrets(project: Path, name: str) -> None:
    write(project, name, text="{}")

    assert check_folder(project, SDK) == []


def test_a_public_certificate_is_no_secret(project: Path) -> None:
    write(project, "ca.pem", text="-----BEGIN CERTIFICATE-----\nabc\n")

    assert check_folder(project, SDK) == []


def test_the_address_of_a_workspace_is_found_whatever_its_name(project: Path) -> None:
    content = '{"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}'
    write(project, "config.json", "settings/mine.json", text=content)

    found = about(project, "the address of an Azure ML workspace")

    assert [level for level, _ in found] == ["error", "error"]


@pytest.mark.parametrize(
    ("name", "value", "level", "expected"),
    [
        ("FOO", "bar", None, ""),
        ("FOO=", "bar", "error", "expected a name"),
        ("FOO BAR", "x", "error", "expected a name"),
        ("1A", "x", "error", "expected a name"),
        ("", "x", "error", "expected a name"),
        ("FOO", 1, "error", "expected a string, found int"),
        ("FOO", None, "error", "expected a string, found NoneType"),
        ("FOO", "", "warning", "the value is empty"),
        ("FOO", "a\nb", "error", "one line"),
        ("NODE_RANK", "0", "error", "Azure ML sets this variable"),
        ("AZUREML_RUN_ID", "x", "error", "Azure ML sets this variable"),
        ("WANDB_API_KEY", "hidden-value", "warning", "looks like a secret"),
        ("AZURE_CLIENT_SECRET", "hidden-value", "warning", "looks like a secret"),
        ("REMOTE", SECRETS["an address with a password"], "warning", "looks like an address with a password"),
        ("TOKENIZERS_PARALLELISM", "false", None, ""),
    ],
)
def test_environment_variables(name: str, value: object, level: str | None, expected: str) -> None:
    findings = check_variables({name: value})

    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(expected in finding.text for finding in findings)
    assert all("hidden" not in finding.text and "a1B2" not in finding.text for finding in findings)
