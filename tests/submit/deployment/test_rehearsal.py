"""A rehearsed deployment: the real inference server, in its own environment, answers a picture as predict does."""

import csv
import json
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from tests.support.commands import environment
from tests.support.in_process import run_in_process
from tests.support.trained_runs import cifar_run

pytestmark = pytest.mark.slow
SHARED = ("torch", "torchvision", "pillow", "simplejpeg")  # of these tests: as large as they are, they aren't copied


@pytest.fixture(scope="module")
def server_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the inference server and onnxruntime, and without this project and Lightning."""
    folder = tmp_path_factory.mktemp("server")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    packages = ("azureml-inference-server-http", "onnxruntime")
    installed = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    link_packages(folder / "shared")
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "shared.pth").write_text(f"{folder / 'shared'}\n")
    return python


def link_packages(folder: Path) -> None:
    """Links the shared packages and what they need, which come after those of the environment itself."""
    folder.mkdir()
    waiting, seen = list(SHARED), set()
    while waiting:
        name = waiting.pop().lower()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if name in seen:
            continue
        seen.add(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
        needed = map(Requirement, found.requires or ())
        waiting += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def test_the_inference_server_gives_the_labels_of_predict(tmp_path: Path, server_python: Path) -> None:
    run = cifar_run(tmp_path)
    assert run_in_process("export", str(run)).status == 0
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "1.jpg")
    words = ("predict", "--output_dir", str(run), "--data_path", str(tmp_path / "photos"), "--top_k", "5")
    predicted = run_in_process(*words)
    assert predicted.status == 0, predicted.err

    done = subprocess.run(
        [sys.executable, "-m", "submit", "deploy", str(run), "--sdk", "v2", "--endpoint", "pictures",
         "--rehearse", str(tmp_path / "photos" / "1.jpg"), "--server_python", str(server_python)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (labels,) = json.loads(done.stdout)["predictions"]
    (row,) = csv.reader((run / "predictions.csv").read_text().splitlines()[1:])
    assert [each["label"] for each in labels] == row[1::2]
    assert [each["probability"] for each in labels] == pytest.approx([float(value) for value in row[2::2]], abs=1e-4)
