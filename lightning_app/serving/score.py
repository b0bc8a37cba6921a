"""The scoring script of an online endpoint of Azure ML: ``init()`` loads the model, ``run()`` answers a request.

A request is that of ``python -m lightning_app serve``: the bytes of a picture, or JSON with several of them. Azure ML's
inference server imports this module; without it, ``run`` takes the body as text or bytes, and returns the answer.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_app.errors import UsageError
from lightning_app.export.files import is_export
from lightning_app.serving.pictures import Limits, RequestError, parse, read
from lightning_app.serving.scorer import Scorer, open_scorer

try:  # of the inference server
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse
except ImportError:
    AMLResponse = None

    def rawhttp(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return function


_scorer: Scorer | None = None
_limits = Limits()


def init() -> None:
    """Loads the model in the folder ``AZUREML_MODEL_DIR``, at any depth: an exported one, or else a checkpoint.

    Raises:
        UsageError: There is none.
    """
    global _scorer
    _scorer = open_scorer(find_model(Path(os.environ.get("AZUREML_MODEL_DIR", "."))))


@rawhttp  # type: ignore[untyped-decorator]  # of the server
def run(request: Any) -> Any:
    """Answers a request.

    Returns:
        The server's response; without the server, a dict: ``predictions`` with the labels of each picture, or
        ``error``.
    """
    status, answer = _answer(request)
    if AMLResponse is not None and hasattr(request, "get_data"):
        return AMLResponse(json.dumps(answer), status, {"Content-Type": "application/json"})
    return answer


def find_model(folder: Path) -> Path:
    """What is served of a folder with a registered model.

    Raises:
        UsageError: There is no model in it.
    """
    inner = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    for each in inner:
        if is_export(each):
            return each
    for name in ("best.ckpt", "last.ckpt", "*.ckpt"):
        for each in inner:
            if found := sorted(each.glob(name)):
                return found[0]
    raise UsageError(f"AZUREML_MODEL_DIR {str(folder)!r}: neither an exported model nor a checkpoint in it")


def _answer(request: Any) -> tuple[int, dict[str, Any]]:
    assert _scorer is not None, "init() comes first"
    if hasattr(request, "get_data"):
        if request.method != "POST":
            return 405, {"error": "expected POST"}
        body, kind, top_k = request.get_data(), request.headers.get("Content-Type", ""), request.args.get("top_k")
    else:
        body, kind, top_k = request.encode() if isinstance(request, str) else bytes(request), "", None
    try:
        given = parse(body, kind, top_k, _limits)
        pictures = [read(file, number, _scorer.preprocessing, _limits) for number, file in enumerate(given.files)]
    except RequestError as error:
        return error.status, {"error": str(error)}
    import torch

    probabilities = _scorer.score(torch.stack(pictures))
    return 200, {"predictions": [_scorer.labels(each, given.top_k) for each in probabilities]}
