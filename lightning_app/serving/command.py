"""``python -m lightning_app serve MODEL``: answers pictures with their labels, over HTTP."""

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_app.errors import UsageError

_CONNECTIONS = 512  # at a time; more are refused with status 503


def main(words: Sequence[str]) -> None:
    """Serves until SIGTERM or Ctrl-C, and then finishes the requests that it has.

    Raises:
        UsageError: There is no model, or the address can't be used.
    """
    given = _parser().parse_args(words)
    for name in ("max_bytes", "max_pixels", "max_images", "batch_size", "top_k"):
        if getattr(given, name) < 1:
            raise UsageError(f"--{name} {getattr(given, name)}: expected a whole number of at least 1")
    try:
        import starlette  # noqa: F401 only whether it is there
        import uvicorn  # noqa: F401 as above
    except ImportError as error:
        raise UsageError(f"serve: {error.name} isn't installed; pip install 'lightning-azureml[serve]'") from error
    with _listen(given.host, given.port) as listening:  # before the model is loaded
        _serve(given, listening)


def _serve(given: argparse.Namespace, listening: socket.socket) -> None:
    import uvicorn

    from lightning_app.serving.pictures import Limits
    from lightning_app.serving.scorer import open_scorer
    from lightning_app.serving.service import Load, application

    scorer = open_scorer(given.model, given.threads)
    limits = Limits(given.max_bytes, given.max_pixels, given.max_images, given.top_k)
    logging.basicConfig(format="%(message)s")
    config = uvicorn.Config(
        application(scorer, limits, Load(batch=given.batch_size)),
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=given.grace,
        access_log=False,
        log_level="warning",
    )
    host, port = listening.getsockname()[:2]
    print(f"Serving {scorer.name} at http://{host}:{port}/score", flush=True)
    # uvicorn finishes the requests at a signal and then raises it again, for the handler that was there before
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: expected a number from 0 to 65535")
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        # inherited by its connections, where asyncio leaves it unset: an answer would wait 40 ms for an acknowledgement
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: can't be used ({error.strerror}); give others") from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"serve: {message}; see python -m lightning_app serve --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lightning_app serve",
        description="Answers pictures with their most probable labels. POST /score takes the bytes of a picture, or "
        'JSON with several: {"images": ["BASE64", ...], "top_k": 5}. GET /health says that the service works. There is '
        "no login: put it behind a proxy that has one before others can reach it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder of an exported model, folder of a run, or a checkpoint"
    )
    numbers = (
        ("--max_bytes", 20_000_000, "bytes of a request"),
        ("--max_pixels", 25_000_000, "pixels of a picture; larger ones aren't decoded"),
        ("--max_images", 64, "pictures in a request"),
        ("--batch_size", 32, "pictures that the network computes together, of all requests"),
        ("--top_k", 5, "labels of a picture, unless a request says how many"),
        ("--threads", 0, "of the processor, for the network; 0: the choice of the library"),
        ("--grace", 30, "seconds for the requests at hand after SIGTERM"),
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="(default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0 is any free one (default: 8000)")
    for name, default, text in numbers:
        parser.add_argument(name, type=int, default=default, metavar="N", help=f"{text} (default: {default:,})")
    return parser
