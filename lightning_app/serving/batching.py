"""Pictures of several requests become one batch of the network: those that have come while it computed the last one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]


class FullError(Exception):
    """More pictures wait than are allowed."""


class Batcher:
    """Computes pictures in one thread, in the order in which they come.

    No picture waits for others: a batch has those that are there when the network is free.

    Args:
        score: From uint8 (N, 3, H, W) to probabilities (N, classes).
        largest: Pictures of a batch.
        waiting: Pictures that may wait.
    """

    def __init__(self, score: Score, largest: int, waiting: int) -> None:
        self._score, self._largest, self._waiting = score, largest, waiting
        self._queue: list[tuple[Tensor, asyncio.Future[Tensor]]] = []
        self._filled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "network")
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """In this context, pictures are computed."""
        self._task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._thread.shutdown()

    async def score(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Probabilities (classes,) of each picture.

        Raises:
            FullError: Too many pictures wait.
        """
        if len(self._queue) + len(pictures) > self._waiting:
            raise FullError
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in pictures]
        self._queue += zip(pictures, futures, strict=True)
        self._filled.set()
        return list(await asyncio.gather(*futures))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            batch, self._queue = self._queue[: self._largest], self._queue[self._largest :]
            if not self._queue:
                self._filled.clear()
            try:
                found = await loop.run_in_executor(self._thread, self._compute, [picture for picture, _ in batch])
                results: Sequence[Tensor | Exception] = list(found)
            except Exception as error:  # of the network; the next batch may be computed
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():  # the client that has asked is gone
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    def _compute(self, pictures: Sequence[Tensor]) -> Tensor:
        return self._score(torch.stack(list(pictures)))
