"""The page's walks from data to a served model: each of their commands, as it stands there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from submit.execution.nodes import free_port
from tests.support.commands import ROOT, environment
from tests.support.projects import copy_project
from tests.support.workspaces import workspace
from tests.test_documentation import commands_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks the service with curl"),
]
# weights of torchvision can't be downloaded here
SMALL = "--model.weights none --data.image_size 64 --batch_size 4 --trainer.accelerator cpu"


def commands_of(heading: str) -> tuple[list[list[str]], str]:
    """The words of the first block's commands below a heading, and the port of the service."""
    page = (ROOT / "docs" / "report.md").read_text().partition(f"## {heading}\n")[2]
    block = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    port = str(free_port())
    return [shlex.split(command.replace("8000", port)) for command in commands_in(block)], port


def answer_of(serve: list[str], curl: list[str], port: str, folder: Path) -> list[str]:
    """The labels with which the served model answers the picture, the most probable one first."""
    with subprocess.Popen(
        [sys.executable, *serve[1:]], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Serving ResNetTransfer (onnx) at http://127.0.0.1:{port}/score\n"
            answer = subprocess.run(curl, cwd=folder, capture_output=True, text=True, timeout=60)
        finally:
            process.kill()
    (labels,) = json.loads(answer.stdout)["predictions"]
    return [each["label"] for each in labels]


def test_the_commands_of_the_page_lead_to_an_answer(tmp_path: Path) -> None:
    (*before, serve, curl), port = commands_of("Serving")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (90, 70), (200, 30, 30)).save(tmp_path / "photos" / "1.jpg")

    for words in before:
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    labels = answer_of(serve, curl, port, tmp_path)

    assert [words[2] for words in before] == ["lightning_app.fit", *["lightning_app"] * 3]
    table = (tmp_path / "runs" / "a" / "predictions.csv").read_text().splitlines()[1]
    assert labels == table.split(",")[1::2]


def test_the_commands_of_the_page_lead_from_photographs_by_a_job_to_a_registered_model(tmp_path: Path) -> None:
    (*before, serve, curl), port = commands_of("From photographs to an answer, with a cluster")
    folder = copy_project(tmp_path / "project")
    make_photographs(folder / "data" / "photos")
    run, printed = "RUN", {}

    with workspace(folder) as user:
        for words in before:
            line = " ".join(run if word == "RUN" else word for word in words[1:]).replace(
                "--num_epochs 25", "--num_epochs 1"
            )
            small = SMALL.split() if words[3] in ("rehearse", "run") else ()
            outcome = user.run(sys.executable, *line.split(), *small)
            assert outcome.status == 0, f"{line}\n{outcome.out}{outcome.err}"
            printed[words[3]] = outcome.out
            run = outcome.out.split()[1] if words[3] == "run" else run
    labels = answer_of(serve, curl, port, folder)

    assert "unknown, refused" not in (folder / "emulator.log").read_text()  # nor does onnxruntime send telemetry
    assert list(printed) == ["upload", "compute", "rehearse", "run", "download", "report", "export", "register"]
    assert printed["upload"].splitlines()[-1] == "--dataset photos:1"
    registered = {
        name: value.strip() for name, _, value in (row.partition(" ") for row in printed["register"].splitlines())
    }
    assert (registered["run_id"], registered["data"]) == (run, "photos:1")
    assert registered["checkpoint"] == "outputs/checkpoints/best.ckpt"
    assert registered["classes"] == "bird, turkey"
    assert "test_accuracy" not in registered  # the folder has no test images
    assert float(registered["val_accuracy"]) == pytest.approx(float(registered["exported_accuracy"]), abs=1e-6)
    assert sorted(labels) == ["bird", "turkey"]


def make_photographs(folder: Path) -> None:
    """JPEGs of several sizes, of two classes that differ in their colours."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name, channel in (("bird", 0), ("turkey", 2)):
            (folder / split / name).mkdir(parents=True)
            for number in range(1, count + 1):
                pixels = random.integers(0, 90, (70 + number, 90 - number, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / split / name / f"{number}.jpg")
