"""The training process that an agent stands beside, as the system sees it."""

import asyncio
import contextlib
import os
import signal
import time

_LOOK = 0.2  # seconds between two looks


class TrainingProcess:
    """The agent's parent; when it has ended, the agent has another one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @property
    def lives(self) -> bool:
        return os.getppid() == self._pid

    async def has_ended(self) -> None:
        """Comes back at once where the system can tell: a launcher soon kills the others, and the first is to blame."""
        ended = asyncio.Event()
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or it has ended
            asyncio.get_running_loop().add_reader(os.pidfd_open(self._pid), ended.set)
        while self.lives:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), _LOOK)

    async def ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.lives and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK / 4)
        return not self.lives

    def kill(self) -> None:
        if self.lives:
            os.kill(self._pid, signal.SIGKILL)
