"""Exported networks: they compute what the network computes, and one that doesn't isn't written."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from datamodules.cifar10_files import CIFAR10_CLASSES
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.command_line.trained import trained
from lightning_app.errors import UsageError
from lightning_app.export.check import ValidationImages, compare
from lightning_app.export.runtime import open_exported
from lightning_app.serving.scorer import open_scorer
from models import CifarNet
from tests.support.in_process import run_in_process
from tests.support.trained_runs import WRONG_WHEN_EXPORTED, cifar_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cifar_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    outcome = run_in_process("export", str(run))
    assert outcome.status == 0, outcome.err
    assert "40 validation images: the same label for each" in outcome.out
    return run / "export"


def test_bytes_are_enough_for_an_onnx_model_and_give_what_the_network_gives(run: Path, exported: Path) -> None:
    network = CifarNet(classes=list("abcdefghij"))
    network.load_state_dict(read_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"])
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))

    for count in (1, 3, 7):
        images = np.random.default_rng(count).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        (logits,) = session.run(["logits"], {"images": images})
        with torch.inference_mode():
            expected = network.eval()(torch.from_numpy(images) / 127.5 - 1)
        assert np.abs(logits - expected.numpy()).max() < 1e-4


def test_the_files_say_what_they_are_and_have_checksums(run: Path, exported: Path) -> None:
    content = json.loads((exported / "model.json").read_text())
    checked = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=exported, capture_output=True, text=True)  # noqa: S607 of the PATH
    inside = onnxruntime.InferenceSession(str(exported / "model.onnx")).get_modelmeta().custom_metadata_map

    assert (checked.returncode, checked.stdout) == (0, "model.json: OK\nmodel.onnx: OK\n")
    assert content["input"] == {"name": "images", "shape": ["batch", 3, 32, 32], "type": "uint8"}
    assert content["agreement"]["images"] == 40
    assert content["agreement"]["network_accuracy"] == content["agreement"]["exported_accuracy"]
    assert json.loads(inside["preprocessing"]) == content["preprocessing"]
    assert json.loads(inside["classes"]) == content["classes"] == list(CIFAR10_CLASSES)
    assert content["checkpoint"]["file"] == "best.ckpt"


def test_a_wrong_weight_in_the_file_is_found(run: Path, exported: Path, tmp_path: Path) -> None:
    model = onnx.load(str(exported / "model.onnx"))
    bias = next(each for each in model.graph.initializer if "fc1" in each.name and "bias" in each.name)
    values = numpy_helper.to_array(bias).copy()
    values[:] += 0.05
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, str(tmp_path / "wrong.onnx"))
    network = trained("export", run)

    with pytest.raises(UsageError, match="the exported model isn't the network: a logit differs by"):
        compare(network, open_exported(tmp_path / "wrong.onnx", "onnx"), ValidationImages(network, None), 1e-4)


def test_a_network_that_is_exported_wrongly_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong_when_exported.py").write_text(WRONG_WHEN_EXPORTED)
    monkeypatch.syspath_prepend(tmp_path)
    run = cifar_run(tmp_path, "--model", "wrong_when_exported.WrongWhenExported", "--data", "CIFAR10DataModule")
    before = sorted(run.rglob("*"))

    outcome = run_in_process("export", str(run))

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(
        "error: export refused: the exported model isn't the network: a logit differs by 0.01"
    )
    assert outcome.err.count("\n") == 1
    assert sorted(run.rglob("*")) == before


@pytest.mark.slow
def test_torch_export_gives_the_same_labels_as_onnx(run: Path, exported: Path, tmp_path: Path) -> None:
    outcome = run_in_process("export", str(run), "--format", "torch_export", "--output", str(tmp_path / "pt2"))

    assert outcome.status == 0, outcome.err
    images = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8)
    first, second, third = (open_scorer(path).score(images) for path in (exported, tmp_path / "pt2", run))
    assert torch.equal(first.argmax(1), second.argmax(1))
    assert (first - second).abs().max() < 1e-5
    assert (first - third).abs().max() < 1e-5


@pytest.mark.slow
def test_an_export_is_replaced_and_nothing_else_is(run: Path, exported: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(exported, tmp_path / "export"))
    again = run_in_process("export", str(run), "--output", str(target), "--images", "8", "--opset", "18")
    other = run_in_process("export", str(run), "--output", str(run))

    assert again.status == 0, again.err
    assert json.loads((target / "model.json").read_text())["agreement"]["images"] == 8
    versions = {each.domain: each.version for each in onnx.load(str(target / "model.onnx")).opset_import}
    assert versions[""] == 18
    assert other.err == f"error: --output '{run}': exists and isn't an exported model; give another folder\n"


def test_a_changed_file_of_an_exported_model_is_not_used(exported: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(exported, tmp_path / "export"))
    with (target / "model.onnx").open("r+b") as file:
        file.seek(5000)
        file.write(b"\x00\x01")

    with pytest.raises(UsageError, match=r"model.onnx isn't the file that was exported; export again"):
        open_scorer(target)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "export 'nowhere': no such folder or file; expected the folder of a run, such as outputs, or a"),
        ([], "export: the following arguments are required: RUN; see python -m lightning_app export --help"),
        (["x", "--opset", "9"], "--opset 9: expected 18 or more, which torch's exporter writes"),
        (["x", "--opset", "18", "--format", "torch_export"], "--opset 18: is for --format onnx; leave it out"),
        (["x", "--tolerance", "2"], "--tolerance 2.0: expected a number between 0 and 1"),
        (["x", "--images", "0"], "--images 0: expected a whole number of at least 1"),
    ],
)
def test_what_can_not_be_exported_is_one_line(words: list[str], message: str) -> None:
    outcome = run_in_process("export", *words)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {message}")
