"""What a request may be, the scoring script of Azure ML, and what can't be served; the service itself is slow."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from lightning_app.errors import UsageError
from lightning_app.serving import score
from lightning_app.serving.pictures import Limits, RequestError, parse
from tests.support.in_process import run_in_process
from tests.support.trained_runs import cifar_run

LIMITS = Limits(bytes=1000, pictures=2)
ENCODED = base64.b64encode(b"picture").decode()


@pytest.mark.parametrize(
    ("body", "kind", "top_k", "expected"),
    [
        (b"picture", "image/jpeg", None, ([b"picture"], 5)),
        (b"picture", "", "3", ([b"picture"], 3)),
        (b"{picture", "image/x", None, ([b"{picture"], 5)),
        (json.dumps({"images": [ENCODED]}).encode(), "application/json; charset=utf-8", "3", ([b"picture"], 3)),
        (json.dumps({"images": [ENCODED, ENCODED], "top_k": 1}).encode(), "", None, ([b"picture"] * 2, 1)),
    ],
)
def test_a_request_is_a_picture_or_json_with_several(
    body: bytes, kind: str, top_k: str | None, expected: tuple[list[bytes], int]
) -> None:
    found = parse(body, kind, top_k, LIMITS)

    assert (found.files, found.top_k) == expected


@pytest.mark.parametrize(
    ("body", "kind", "top_k", "status"),
    [
        (bytes(1001), "image/jpeg", None, 413),
        (json.dumps({"images": [ENCODED] * 3}).encode(), "application/json", None, 413),
        (b"x", "text/plain", None, 415),
        (b"", "image/jpeg", None, 400),
        (b"[" * 900, "application/json", None, 400),
        (b"x", "image/jpeg", "0", 400),
        (b"x", "image/jpeg", "9" * 5000, 400),
        (json.dumps({"images": [ENCODED], "top_k": True}).encode(), "application/json", None, 400),
    ],
)
def test_other_requests_are_refused_in_one_line(body: bytes, kind: str, top_k: str | None, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        parse(body, kind, top_k, LIMITS)

    assert refused.value.status == status
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_the_scoring_script_answers_from_a_registered_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = cifar_run(tmp_path)
    buffer = io.BytesIO()
    Image.new("RGB", (50, 40), (200, 10, 10)).save(buffer, "PNG")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(run))

    score.init()
    one = score.run(buffer.getvalue())
    several = score.run(json.dumps({"images": [base64.b64encode(buffer.getvalue()).decode()] * 2, "top_k": 10}))
    refused = score.run(b"not a picture")

    assert len(one["predictions"][0]) == 5
    assert [len(each) for each in several["predictions"]] == [10, 10]
    assert several["predictions"][0] == several["predictions"][1]
    assert several["predictions"][0][:5] == one["predictions"][0]
    assert sum(each["probability"] for each in several["predictions"][0]) == pytest.approx(1, abs=1e-4)
    assert refused == {"error": "picture 0 can't be read: its image format is not recognised"}


def test_an_exported_model_is_preferred_to_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "best.ckpt").touch()
    assert score.find_model(tmp_path) == tmp_path / "a" / "best.ckpt"

    (tmp_path / "b" / "export").mkdir(parents=True)
    for name in ("model.json", "SHA256SUMS"):
        (tmp_path / "b" / "export" / name).touch()
    assert score.find_model(tmp_path) == tmp_path / "b" / "export"

    (tmp_path / "c").mkdir()
    with pytest.raises(UsageError, match="neither an exported model nor a checkpoint in it"):
        score.find_model(tmp_path / "c")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "serve 'nowhere': no such folder or file"),
        (["x", "--host", "192.0.2.1", "--port", "0"], "--host 192.0.2.1 --port 0: can't be used"),
        (["x", "--port", "99999"], "--port 99999: expected a number from 0 to 65535"),
        (["x", "--max_pixels", "0"], "--max_pixels 0: expected a whole number of at least 1"),
        ([], "serve: the following arguments are required: MODEL"),
    ],
)
def test_what_can_not_be_served_is_one_line(words: list[str], message: str) -> None:
    outcome = run_in_process("serve", *words)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {message}")
