"""The process beside a training process: reports to the coordinator, and ends the training when it has failed."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from lightning_app.watchdog import reports
from lightning_app.watchdog.coordinator import Coordinator
from lightning_app.watchdog.protocol import (
    LONGEST,
    AgentOptions,
    Message,
    ProcessId,
    SharedProgress,
    Timeouts,
    read_messages,
    send,
)
from lightning_app.watchdog.reports import Report

_POLL_SECONDS = 0.2  # seconds between two looks


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
                await asyncio.wait_for(ended.wait(), _POLL_SECONDS)

    async def ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.lives and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS / 4)
        return not self.lives

    def kill(self) -> None:
        if self.lives:
            os.kill(self._pid, signal.SIGKILL)


_LOOK = 0.2
_HERE = "127.0.0.1"
_NOT_LISTENING = (OSError, asyncio.TimeoutError)


class Agent:
    """Lives until the training has ended, in one way or the other."""

    def __init__(self, task: AgentOptions, limits: Timeouts) -> None:
        self._task, self._limits = task, limits
        self._process = TrainingProcess(task.parent)
        self._place, self._folder = task.place, Path(task.folder)
        self._page = SharedProgress(task.page)
        self._end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._unsent: list[Message] = []
        self._coordinator: asyncio.StreamWriter | None = None
        self._training: asyncio.StreamWriter | None = None
        self._heard = time.monotonic()
        self._failed: Report | None = None
        self._is_done = False

    async def run(self) -> None:
        server, port = await self._serve()
        reader, self._training = await asyncio.open_connection(
            sock=socket.socket(fileno=self._task.training), limit=LONGEST
        )
        send(self._training, {"port": port})
        work = [self._hear_training(reader), self._watch_training(), self._follow(port), self._beat()]
        tasks = [asyncio.create_task(part) for part in work]
        end = await self._end
        await self._finish(end)
        for task in tasks:
            task.cancel()
        await self._outlast(server)

    async def _serve(self) -> tuple[Coordinator | None, int]:
        if not self._place.is_first:
            return None, self._task.port
        server = Coordinator(self._limits, self._task.address, self._task.expected, self._task.job)
        try:
            everywhere = "::" if ":" in self._task.address else "0.0.0.0"  # noqa: S104 other nodes have to reach it
            return server, await server.listen(_HERE if self._task.nodes == 1 else everywhere, self._task.port)
        except OSError as error:
            text = (
                f"port {self._task.port} of this node, the one after MASTER_PORT, can't be used by the watchdog "
                f"({error.strerror}); set MASTER_PORT to another one"
            )
            self._conclude_here(Report(reports.USAGE_ERROR, "", "at the start", text))
            return None, 0

    async def _hear_training(self, reader: asyncio.StreamReader) -> None:
        async for message in read_messages(reader):
            if "rank" in message:
                self._place = replace(self._place, rank=message["rank"])
                self._folder = Path(message.get("folder", self._folder))
                message["place"] = self._place.as_message()
            if "failed" in message:
                self._fails(message["failed"]["kind"], message["failed"]["text"])
                continue
            self._is_done = self._is_done or "done" in message
            self._tell({**message, "position": self._position()})
            self._leave_when_done()

    def _leave_when_done(self) -> None:
        """The first stays until all are done."""
        if self._is_done and self._coordinator is not None and not self._place.is_first:
            self._conclude({"closed": True})

    def _fails(self, kind: str, text: str) -> None:
        if self._failed is None and not self._is_done:
            self._failed = Report(kind, self._place.named(""), str(self._page.read()), text)
            self._tell({"failed": {"kind": kind, "text": text}, "position": self._position()})

    async def _watch_training(self) -> None:
        await self._process.has_ended()
        await asyncio.sleep(_LOOK / 10)  # what it has said last comes first
        self._fails(reports.KILLED, reports.KILLED_TEXT)

    async def _follow(self, port: int) -> None:
        """Speaks to the coordinator for as long as it is there."""
        is_here = self._place.is_first or self._task.nodes == 1
        reader, writer = await self._connected(_HERE if is_here else self._task.address, port)
        for message in self._unsent:
            send(writer, message)
        self._coordinator = writer
        self._leave_when_done()
        async for message in read_messages(reader):
            self._heard = time.monotonic()
            if "verdict" in message or "closed" in message:
                self._conclude(message)
            if "stack?" in message and self._training is not None:
                send(self._training, message)
        self._conclude_here(self._coordinator_lost("its watchdog has ended without a word"))

    async def _connected(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        deadline = time.monotonic() + self._limits.start
        while True:
            with contextlib.suppress(*_NOT_LISTENING):
                found = await asyncio.wait_for(self._welcomed(address, port), self._limits.lost)
                if found is not None:
                    self._heard = time.monotonic()
                    return found
            if time.monotonic() > deadline:
                text = f"nothing listens at {address}:{port} within {self._limits.start:.0f} s"
                self._conclude_here(self._coordinator_lost(text))
            await asyncio.sleep(_LOOK)

    async def _welcomed(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection; None where something else listens there, perhaps another training's."""
        reader, writer = await asyncio.open_connection(address, port, limit=LONGEST)
        send(writer, {"job": self._task.job, "place": self._place.as_message()})
        async for _ in read_messages(reader):
            return reader, writer
        writer.close()
        return None

    async def _beat(self) -> None:
        failed_at = None
        while True:
            await asyncio.sleep(self._limits.beat)
            silence = time.monotonic() - self._heard
            if self._coordinator is not None:
                self._tell({"position": self._position()})
                if silence > self._limits.lost:
                    self._conclude_here(self._coordinator_lost(f"nothing was heard of it for {silence:.0f} s"))
            if self._failed is not None:  # nobody may be there to hear it
                failed_at = failed_at or time.monotonic()
                more = 0 if self._coordinator is None else self._limits.collective
                if time.monotonic() - failed_at > self._limits.lost + more:
                    self._conclude_here(self._failed)

    def _position(self) -> list[int]:
        position = self._page.read()
        return [position.progress, position.stage, position.epoch, position.step]

    def _coordinator_lost(self, how: str) -> Report:
        if self._failed is not None and self._failed.kind != reports.COLLECTIVE:
            return self._failed
        first = ProcessId(0, 0, 0).named(self._task.address)
        text = f"{how[0].upper()}{how[1:]}: node 0 is gone, or the network between it and {self._place.named('')}."
        return Report(reports.LOST, first, f"seen from {self._place.named('')}, {self._page.read()}", text)

    def _tell(self, message: Message) -> None:
        if self._coordinator is None:
            self._unsent.append(message)
        else:
            send(self._coordinator, message)

    def _conclude_here(self, report: Report) -> None:
        """Without the coordinator."""
        self._conclude({"verdict": report.as_message(), "yours": report is self._failed, "alone": True})

    def _conclude(self, message: Message) -> None:
        if not self._end.done():
            self._end.set_result(message)

    async def _finish(self, end: Message) -> None:
        assert self._training is not None
        if "verdict" not in end:
            send(self._training, end)
            return
        report = Report.of(end["verdict"])
        # on the first node, and on each that had to decide for itself
        if self._place.local_rank == 0 and ("alone" in end or self._place.is_first):
            reports.save_report(report, self._folder, self._place.node)
        can_tell = self._process.lives
        send(self._training, {**end, "text": str(report)})
        if await self._process.ends_within(self._seconds_to_end(end, report)) and can_tell:
            return
        print(report, file=sys.stderr, flush=True)
        self._process.kill()

    def _seconds_to_end(self, end: Message, report: Report) -> float:
        if report.kind == reports.STALLED and end.get("yours"):
            return self._limits.beat  # it hasn't reacted for long enough
        knows = self._failed is not None or self._is_done  # and closes what it has open, before it leaves
        return self._limits.end * (3 if knows else 1)

    async def _outlast(self, server: Coordinator | None) -> None:
        """The coordinator stays until all have heard, those as well that are only about to come up."""
        began = time.monotonic()
        while server is not None and not server.everybody_has_left:
            waited = time.monotonic() - began
            if waited > (self._limits.end if server.everybody_has_come else 2 * self._limits.lost):
                return
            await asyncio.sleep(_LOOK / 4)
            if self._coordinator is not None:
                self._coordinator.close()


def main(content: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training, which tells what it does then
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = json.loads(content)
    limits = Timeouts(**options.pop("limits"))

    async def run() -> None:
        await Agent(AgentOptions.of(options), limits).run()
        sys.stderr.flush()
        os._exit(0)  # what is still open is closed by that, and nothing of it is told in the training's log

    asyncio.run(run())
