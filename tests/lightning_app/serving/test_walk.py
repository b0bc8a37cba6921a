"""The page's walk from data to a served model: each of its commands, as it stands there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from submit.execution.nodes import free_port
from tests.support.commands import ROOT, environment
from tests.test_documentation import commands_in

pytestmark = pytest.mark.slow


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks the service with curl")
def test_the_commands_of_the_page_lead_to_an_answer(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "report.md").read_text().partition("## Serving")[2]
    block = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    port = str(free_port())
    *before, serve, curl = [shlex.split(command.replace("8000", port)) for command in commands_in(block)]
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (90, 70), (200, 30, 30)).save(tmp_path / "photos" / "1.jpg")

    for words in before:
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    with subprocess.Popen(
        [sys.executable, *serve[1:]], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Serving ResNetTransfer (onnx) at http://127.0.0.1:{port}/score\n"
            answer = subprocess.run(curl, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        finally:
            process.kill()

    assert [words[2] for words in before] == ["lightning_app.fit", *["lightning_app"] * 3]
    (labels,) = json.loads(answer.stdout)["predictions"]
    table = (tmp_path / "runs" / "a" / "predictions.csv").read_text().splitlines()[1]
    assert [each["label"] for each in labels] == table.split(",")[1::2]
