"""The findings of preflight, and what it loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from submit.preflight.checks import check_folder
from submit.preflight.findings import Finding
from submit.v1.sdk import SDK
from tests.support.commands import ROOT, environment
from tests.support.preflight import write


def test_a_finding_is_one_line() -> None:
    with pytest.raises(ValueError, match="one line"):
        Finding("error", "two\nlines")


def test_odd_names_of_files_still_make_one_line(project: Path) -> None:
    write(project, "new\nline.pem", "ünï \u2028.ckpt")

    assert len(check_folder(project, SDK)) == 2


def test_preflight_loads_neither_torch_nor_azureml_core(project: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from submit.preflight.checks import check_folder; "
        "from submit.v1.sdk import SDK; "
        f"check_folder(Path({str(project)!r}), SDK); "
        "print([name for name in ('torch', 'azureml.core', 'requests', 'msrest') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert (done.stdout, done.stderr) == ("[]\n", "")
