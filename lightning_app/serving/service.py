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
from starlette.types import Receive, Scope, Send

from lightning_app.serving.batching import Batcher, FullError
from lightning_app.serving.pictures import Limits, RequestError, TooLongError, parse, read
from lightning_app.serving.scorer import Label, Scorer

log = logging.getLogger(__name__)

_DISCARD_SECONDS = 10.0


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
    service = _Service(scorer, limits, load)
    routes = [
        Route("/score", service.score, methods=["POST"]),
        Route("/health", service.health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=service.running)


class _Service:
    def __init__(self, scorer: Scorer, limits: Limits, load: Load) -> None:
        self._scorer, self._limits = scorer, limits
        self._decoders = ThreadPoolExecutor(load.decoders, "decoder")
        self._batcher = Batcher(scorer.score, load.batch, load.waiting)

    @contextlib.asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        async with self._batcher.running():
            yield
        self._decoders.shutdown()

    async def health(self, request: HttpRequest) -> JSONResponse:
        return JSONResponse({"status": "ok", "model": self._scorer.name, "classes": len(self._scorer.classes)})

    async def score(self, request: HttpRequest) -> JSONResponse:
        try:
            return JSONResponse({"predictions": await self._predictions(request)})
        except TooLongError as error:
            return _Discarding({"error": str(error)}, error.status, {"Connection": "close"})
        except RequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except FullError:
            return JSONResponse({"error": "too many pictures wait; try again"}, 503, {"Retry-After": "1"})
        except ClientDisconnect:
            return JSONResponse({"error": "the request ended early"}, 400)
        except Exception:
            log.exception("a request failed")
            return JSONResponse({"error": "the service failed; its log has the reason"}, 500)

    async def _predictions(self, request: HttpRequest) -> list[list[Label]]:
        body = await _body(request, self._limits)
        kind, top_k = request.headers.get("content-type", ""), request.query_params.get("top_k")
        given = parse(body, kind, top_k, self._limits)
        loop = asyncio.get_running_loop()
        reading = [
            loop.run_in_executor(self._decoders, read, file, number, self._scorer.preprocessing, self._limits)
            for number, file in enumerate(given.files)
        ]
        probabilities = await self._batcher.score(await asyncio.gather(*reading))
        return [self._scorer.labels(each, given.top_k) for each in probabilities]


class _Discarding(JSONResponse):
    """A response that is sent at once, while the client still sends its body, which is thrown away for some time.

    If the connection were closed at once, most clients would see that, and not the response.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._discard(receive), _DISCARD_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _discard(receive: Receive) -> None:
        more = True
        while more:
            message = await receive()
            more = message["type"] == "http.request" and message.get("more_body", False)


async def _body(request: HttpRequest, limits: Limits) -> bytes:
    """The body; RequestError before it is read, or while it is, if it is too long."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.bytes:
        raise TooLongError(limits)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.bytes:
            raise TooLongError(limits)
    return bytes(body)
