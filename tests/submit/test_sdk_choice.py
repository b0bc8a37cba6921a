"""Which SDK is used, and where each flag is in the request of both."""

import re
import subprocess
import sys

import pytest

from submit.errors import SubmitError
from submit.main import _parser
from submit.sdk import PACKAGES, Name, choose_sdk, describe_choice, installed_sdk
from tests.support.commands import ROOT, environment


@pytest.mark.parametrize(("installed", "expected"), [({"v1"}, "v1"), ({"v2"}, "v2"), ({"v1", "v2"}, "v1")])
def test_without_the_flag_the_sdk_is_one_that_is_installed(installed: set[str], expected: str) -> None:
    assert installed_sdk(lambda name: name in installed) == expected


@pytest.mark.parametrize(
    ("given", "needed", "installed", "expected"),
    [
        ("v2", None, {"v1", "v2"}, r"Azure ML SDK v2 \(azure-ai-ml [\d.]+\w*\): given by --sdk"),
        ("v1", "v2", {"v1", "v2"}, r"Azure ML SDK v1 \(azureml-core .*\): given by --sdk"),
        (None, "v2", {"v1", "v2"}, r"Azure ML SDK v2 \(azure-ai-ml .*\): this command needs it"),
        (None, None, {"v2"}, r"Azure ML SDK v2 \(azure-ai-ml .*\): the only one installed"),
        (
            None,
            None,
            {"v1", "v2"},
            r"Azure ML SDK v1 \(azureml-core .*\): both are installed, .* --sdk v2 .*",
        ),
    ],
)
def test_the_choice_is_described_with_its_reason(
    given: Name | None, needed: Name | None, installed: set[str], expected: str
) -> None:
    assert re.fullmatch(expected, describe_choice(given, needed, lambda name: name in installed))


def test_without_any_sdk_the_message_says_what_to_install() -> None:
    with pytest.raises(SubmitError, match=r"^neither azure-ai-ml .* nor azureml-core .* pip install '.*\[v2\]'$"):
        installed_sdk(lambda name: False)


@pytest.mark.parametrize(("name", "other"), [("v1", "azure.ai.ml"), ("v2", "azureml.core")])
def test_one_sdk_is_imported_and_the_other_one_is_not(name: str, other: str) -> None:
    """And none before it is needed."""
    program = (
        "import sys; from submit.commands.flags import job_options; from submit.describe import describe_job; "
        "from submit.main import parse_command; from submit.preflight.checks import check_folder; "
        "from submit.sdk import choose_sdk; "
        f"_, options, training = parse_command(['run', '--sdk', {name!r}]); sdk = choose_sdk(options.sdk); "
        "job = describe_job(job_options(options), training, sdk.job_extra); "
        "early = {'azureml.core', 'azure.ai.ml'} & set(sys.modules); check_folder(job.source_directory, sdk); "
        "print(early, len(sdk.request(job)) > 500, "
        f"sorted(m for m in sys.modules if m == {other!r} or m.startswith({other!r} + '.')))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert done.stdout.splitlines()[-1] == "set() True []", done.stderr


def test_an_sdk_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submit.sdk.find_spec", lambda name: None)

    with pytest.raises(SubmitError, match=r"^--sdk v2: azure-ai-ml isn't installed; .*\[v2\]'$"):
        choose_sdk("v2")
    with pytest.raises(SubmitError, match=r"^this command needs SDK v2: azure-ai-ml isn't installed; .*\[v2\]'$"):
        choose_sdk(None, "v2")
    assert set(PACKAGES) == {"v1", "v2"}


def test_the_table_of_both_sdks_has_each_flag_of_run() -> None:
    text = (ROOT / "docs" / "submitting.md").read_text()
    table = text.partition("| flag | SDK v1")[2].partition("\n\n")[0]

    from submit.commands import run

    flags = {word for action in _parser("run", run)._actions for word in action.option_strings} - {"-h", "--help"}

    assert set(re.findall(r"^\| `(--\w+)", table, re.MULTILINE)) == flags
