"""The service: ``POST /score`` answers pictures with labels, ``GET /health`` says that it can."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from lightning_app.serving.batching import Batcher, FullError
from lightning_app.serving.pictures import Limits, RequestError, parse, read, too_many_bytes
from lightning_app.serving.scorer import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """How much is done at a time.

    Args:
        batch: Pictures that the network computes together.
        waiting: Pictures that may wait for it; more are refused with status 503.
        decoders: Threads that decode pictures.
    """

    batch: int = 32
    waiting: int = 1024
    decoders: int = 2


def application(scorer: Scorer, limits: Limits, load: Load) -> Starlette:
    """The service as an ASGI application."""
    decoders = ThreadPoolExecutor(load.decoders, "decoder")
    batcher = Batcher(scorer.score, load.batch, load.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with batcher.running():
            yield
        decoders.shutdown()

    async def health(request: HttpRequest) -> JSONResponse:
        return JSONResponse({"status": "ok", "model": scorer.name, "classes": len(scorer.classes)})

    async def score(request: HttpRequest) -> JSONResponse:
        try:
            body = await _body(request, limits)
            top_k, kind = request.query_params.get("top_k"), request.headers.get("content-type", "")
            given = parse(body, kind, top_k, limits)
            loop = asyncio.get_running_loop()
            reading = [
                loop.run_in_executor(decoders, read, file, number, scorer.preprocessing, limits)
                for number, file in enumerate(given.files)
            ]
            found = await asyncio.gather(*reading, return_exceptions=True)
            for each in found:
                if isinstance(each, BaseException):
                    raise each
            probabilities = await batcher.score([each for each in found if not isinstance(each, BaseException)])
        except RequestError as error:
            # the rest of a body that is too long isn't read
            headers = {"Connection": "close"} if error.status == 413 else {}
            return JSONResponse({"error": str(error)}, error.status, headers)
        except FullError:
            return JSONResponse({"error": "too many pictures wait; try again"}, 503, {"Retry-After": "1"})
        except ClientDisconnect:
            return JSONResponse({"error": "the request ended early"}, 400)
        except Exception:
            log.exception("a request failed")
            return JSONResponse({"error": "the service failed; its log has the reason"}, 500)
        return JSONResponse({"predictions": [scorer.labels(each, given.top_k) for each in probabilities]})

    routes = [Route("/score", score, methods=["POST"]), Route("/health", health, methods=["GET"])]
    return Starlette(routes=routes, lifespan=lifespan)


async def _body(request: HttpRequest, limits: Limits) -> bytes:
    """The body; RequestError before it is read, or while it is, if it is too long."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.bytes:
        raise too_many_bytes(limits)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.bytes:
            raise too_many_bytes(limits)
    return bytes(body)
