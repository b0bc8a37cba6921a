"""A network of torchvision that is no ResNet, by the command line: from training to answers."""

import base64
import csv
import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_app.serving import score
from submit.execution.nodes import free_port
from tests.support.commands import Command, environment
from tests.support.in_process import run_in_process

FLAGS = ("--model", "ResNetTransfer", "--model.weights", "none", "--batch_size", "4", "--trainer.accelerator", "cpu")
SMALL = ("--model.architecture", "squeezenet1_1", "--data.image_size", "64")  # its last layer is a convolution


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return found


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as content:
        return list(csv.DictReader(content))


def answers(served: Path, pictures: list[Path]) -> list[list[dict[str, object]]]:
    """What a served model says of pictures."""
    port = free_port()
    command = [sys.executable, "-m", "lightning_app", "serve", str(served), "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Serving ResNetTransfer")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            images = [base64.b64encode(path.read_bytes()).decode() for path in pictures]
            body = json.dumps({"images": images, "top_k": 2})
            connection.request("POST", "/score", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = json.loads(response.read())
            connection.close()
            assert response.status == 200, content
        finally:
            process.kill()
    found: list[list[dict[str, object]]] = content["predictions"]
    return found


@pytest.mark.slow
def test_training_stop_and_what_comes_after_it(run: Command, image_folder: Path) -> None:
    flags = (*SMALL, *FLAGS, "--data_path", str(image_folder))
    stopped, whole = Path("stopped"), Path("whole")

    for folder, more in ((stopped, ("--trainer.max_steps", "2")), (stopped, ()), (whole, ())):
        done = run("fit", *flags, "--num_epochs", "2", *more, "--output_dir", str(folder))
        assert (done.status, done.err) == (0, ""), done.err
    compared = weights(whole)
    assert [name for name, value in weights(stopped).items() if not torch.equal(value, compared[name])] == []

    for words in (
        ("predict", "--output_dir", "stopped", "--data_path", str(image_folder / "val"), "--top_k", "2"),
        ("validate", "--output_dir", "stopped", "--data_path", str(image_folder)),
        ("report", "stopped", "whole", "--output", "compared.html"),
        ("export", "stopped"),
    ):
        done = run(*words)
        assert done.status == 0, f"{words}: {done.err}"
    table = rows(stopped / "predictions.csv")
    pictures = [image_folder / "val" / row["file"] for row in table]
    assert len(table) == 12
    for served in (stopped / "export", stopped):
        for row, answer in zip(table, answers(served, pictures), strict=True):
            assert [each["label"] for each in answer] == [row["label"], row["label_2"]]
            assert answer[0]["probability"] == pytest.approx(float(row["probability"]), abs=1.1e-4)
    assert SMALL[1] in Path("compared.html").read_text()


def test_a_network_that_is_no_resnet_is_trained_exported_and_predicts(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = (*SMALL, *FLAGS, "--trainer.logger", "false")

    for words in (
        ("fit", *flags, "--data_path", str(image_folder), "--num_epochs", "1", "--output_dir", "run"),
        ("export", "run", "--images", "4"),
        ("predict", "--output_dir", "run", "--data_path", str(image_folder / "val")),
    ):
        done = run_in_process(*words)
        assert done.status == 0, f"{words}: {done.err}"
    assert json.loads(Path("run/export/model.json").read_text())["agreement"]["images"] == 4
    assert {row["label"] for row in rows(Path("run/predictions.csv"))} <= {"dark", "light"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("mobilenet_v3_small", "64"),  # its head is the last of several layers, after a dropout
        ("swin_t", "64"),  # a transformer of windows, with a head named head
        ("densenet121", "64"),  # its head is a layer of its own, with a name of its own
    ],
)
def test_a_frozen_network_of_another_family_answers_as_it_predicts(
    architecture: str, size: str, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ("--model.architecture", architecture, "--data.image_size", size, "--data_path", str(image_folder))

    for words in (
        ("fit", *flags, *FLAGS, "--trainer.logger", "false", "--num_epochs", "1", "--output_dir", "run"),
        ("predict", "--output_dir", "run", "--data_path", str(image_folder / "val"), "--top_k", "2"),
        ("report", "run"),
        ("export", "run"),
    ):
        done = run_in_process(*words)
        assert done.status == 0, f"{words}: {done.err}"
    assert architecture in Path("run/report.html").read_text()
    table = rows(Path("run/predictions.csv"))
    assert len(table) == 12
    monkeypatch.setenv("AZUREML_MODEL_DIR", "run/export")
    score.init()
    for row in table:
        (answer,) = score.run((image_folder / "val" / row["file"]).read_bytes())["predictions"]
        assert [each["label"] for each in answer] == [row["label"], row["label_2"]]
        assert answer[0]["probability"] == pytest.approx(float(row["probability"]), abs=1.1e-4)
