"""The process beside a training process: reports to the coordinator, and stops the training when it has failed."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from lightning_app.watchdog import reports
from lightning_app.watchdog.coordinator import Coordinator
from lightning_app.watchdog.keys import agent_proof, coordinator_proof, is_proof, job_key, random_key
from lightning_app.watchdog.protocol import (
    MAX_MESSAGE_BYTES,
    AgentOptions,
    Message,
    ProcessId,
    SharedProgress,
    read_messages,
    send,
)
from lightning_app.watchdog.reports import Report

_POLL_SECONDS = 0.2
_LOOPBACK = "127.0.0.1"
_FOR_TRAINING = {"stack_request", "stop", "stop_after", "save", "save_after"}  # messages of the coordinator

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TrainingProcess:
    """The agent's parent process; when that has ended, the agent gets another parent."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @property
    def is_alive(self) -> bool:
        return os.getppid() == self._pid

    async def wait(self) -> None:
        """Returns at once where the system notifies: a launcher soon kills the others, and the first is the cause."""
        ended = asyncio.Event()
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or it has ended
            asyncio.get_running_loop().add_reader(os.pidfd_open(self._pid), ended.set)
        while self.is_alive:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), _POLL_SECONDS)

    async def ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS / 4)
        return not self.is_alive

    def kill(self) -> None:
        if self.is_alive:
            os.kill(
                self._pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM
            )  # Windows has no SIGKILL


class Agent:
    """Runs until the training has ended or failed."""

    def __init__(self, options: AgentOptions) -> None:
        self._options, self._timeouts = options, options.timeouts
        self._key = job_key(os.environ)
        self._training_process = TrainingProcess(options.parent)
        self._process, self._folder = options.process, Path(options.folder)
        self._progress = SharedProgress(options.progress_file)
        self._end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._unsent: list[Message] = []
        self._coordinator: asyncio.StreamWriter | None = None
        self._training: asyncio.StreamWriter | None = None
        self._last_message_at = time.monotonic()
        self._failure: Report | None = None
        self._is_done = False

    async def run(self) -> None:
        server, port = await self._start_coordinator()
        reader, self._training = await asyncio.open_connection(
            sock=socket.socket(fileno=self._options.training_socket), limit=MAX_MESSAGE_BYTES
        )
        send(self._training, {"port": port})
        parts = [
            self._receive_from_training(reader),
            self._watch_training(),
            self._receive_from_coordinator(port),
            self._send_heartbeats(),
        ]
        tasks = [asyncio.create_task(part) for part in parts]
        end = await self._end
        await self._stop_training(end)
        for task in tasks:
            task.cancel()
        await self._wait_for_other_agents(server)

    async def _start_coordinator(self) -> tuple[Coordinator | None, int]:
        """Beside the first process only; returns it and its port."""
        options = self._options
        if not self._process.is_first:
            return None, options.port
        server = Coordinator(self._timeouts, options.address, options.expected_processes, self._key)
        try:
            all_interfaces = "::" if ":" in options.address else "0.0.0.0"  # noqa: S104 other nodes connect to it
            return server, await server.listen(_LOOPBACK if options.nodes == 1 else all_interfaces, options.port)
        except OSError as error:
            text = (
                f"port {options.port} of this node, the one after MASTER_PORT, can't be used by the watchdog "
                f"({error.strerror}); set MASTER_PORT to another one"
            )
            self._conclude_alone(Report(reports.USAGE_ERROR, "", "at the start", text))
            return None, 0

    async def _receive_from_training(self, reader: asyncio.StreamReader) -> None:
        async for message in read_messages(reader):
            if "rank" in message:
                self._process = replace(self._process, rank=message["rank"])
                self._folder = Path(message.get("folder", self._folder))
                message["process"] = self._process.to_message()
            if "failure" in message:
                self._report_failure(**message["failure"])
                continue
            self._is_done = self._is_done or "done" in message
            self._send({**message, "position": self._position()})
            self._leave_when_done()

    def _leave_when_done(self) -> None:
        """The first process stays until all are done."""
        if self._is_done and self._coordinator is not None and not self._process.is_first:
            self._conclude({"closed": True})

    def _report_failure(self, kind: str, text: str, signal: int = 0) -> None:
        if self._failure is None and not self._is_done:
            self._failure = Report(kind, self._process.label(), str(self._progress.read()), text, signal)
            failure = {"kind": kind, "text": text, "signal": signal}
            self._send({"failure": failure, "position": self._position()})

    async def _watch_training(self) -> None:
        await self._training_process.wait()
        await asyncio.sleep(_POLL_SECONDS / 10)  # its last message comes first
        self._report_failure(reports.KILLED, reports.KILLED_TEXT)

    async def _receive_from_coordinator(self, port: int) -> None:
        is_on_this_node = self._process.is_first or self._options.nodes == 1
        reader, writer = await self._connect(_LOOPBACK if is_on_this_node else self._options.address, port)
        for message in self._unsent:
            send(writer, message)
        self._coordinator = writer
        self._leave_when_done()
        async for message in read_messages(reader):
            self._last_message_at = time.monotonic()
            if "verdict" in message or "closed" in message:
                self._conclude(message)
            if message.keys() & _FOR_TRAINING and self._training is not None:
                send(self._training, message)
        self._conclude_alone(self._coordinator_lost("its watchdog closed the connection"))

    async def _connect(self, address: str, port: int) -> Connection:
        deadline = time.monotonic() + self._timeouts.startup
        while True:
            with contextlib.suppress(OSError, asyncio.TimeoutError):  # it isn't listening yet
                connection = await asyncio.wait_for(self._register(address, port), self._timeouts.lost)
                if connection is not None:
                    self._last_message_at = time.monotonic()
                    return connection
            if time.monotonic() > deadline:
                text = f"nothing listens at {address}:{port} within {self._timeouts.startup:.0f} s"
                self._conclude_alone(self._coordinator_lost(text))
            await asyncio.sleep(_POLL_SECONDS)

    async def _register(self, address: str, port: int) -> Connection | None:
        """None where another program listens there, such as the coordinator of another training."""
        reader, writer = await asyncio.open_connection(address, port, limit=MAX_MESSAGE_BYTES)
        messages = read_messages(reader)
        nothing: Message = {}
        nonce = str((await anext(messages, nothing)).get("nonce"))
        process, own_nonce = self._process.to_message(), random_key()
        proof = agent_proof(self._key, nonce, own_nonce, process)
        send(writer, {"process": process, "nonce": own_nonce, "proof": proof})
        reply = await anext(messages, nothing)
        if is_proof(reply.get("proof"), coordinator_proof(self._key, own_nonce, nonce)):
            return reader, writer
        if "refused" in reply:
            self._conclude_alone(Report(reports.USAGE_ERROR, "", "at the start", str(reply["refused"])))
        writer.close()
        return None

    async def _send_heartbeats(self) -> None:
        failed_at = None
        while True:
            await asyncio.sleep(self._timeouts.heartbeat)
            silence = time.monotonic() - self._last_message_at
            if self._coordinator is not None:
                self._send({"position": self._position()})
                if silence > self._timeouts.lost:
                    self._conclude_alone(self._coordinator_lost(f"it sent nothing for {silence:.0f} s"))
            if self._failure is not None:  # the coordinator may be unreachable
                failed_at = failed_at or time.monotonic()
                more = 0 if self._coordinator is None else self._seconds_to_decide(self._failure)
                if time.monotonic() - failed_at > self._timeouts.lost + more:
                    self._conclude_alone(self._failure)

    def _seconds_to_decide(self, failure: Report) -> float:
        """The first process may be writing a checkpoint after a signal."""
        return self._timeouts.save if failure.kind in reports.STOPPED else self._timeouts.collective

    def _position(self) -> list[int]:
        position = self._progress.read()
        return [position.progress, position.stage, position.epoch, position.step]

    def _coordinator_lost(self, reason: str) -> Report:
        if self._failure is not None and self._failure.kind != reports.COLLECTIVE:
            return self._failure
        first, this = ProcessId(0, 0, 0).label(self._options.address), self._process.label()
        text = f"{reason[0].upper()}{reason[1:]}: node 0 is down, or the network between it and {this} is."
        return Report(reports.LOST, first, f"seen from {this}, {self._progress.read()}", text)

    def _send(self, message: Message) -> None:
        if self._coordinator is None:
            self._unsent.append(message)
        else:
            send(self._coordinator, message)

    def _conclude_alone(self, report: Report) -> None:
        """Without the coordinator."""
        self._conclude({"verdict": report.to_message(), "is_own": report is self._failure, "decided_alone": True})

    def _conclude(self, message: Message) -> None:
        if not self._end.done():
            self._end.set_result(message)

    async def _stop_training(self, end: Message) -> None:
        assert self._training is not None
        if "verdict" not in end:
            send(self._training, end)
            return
        report = Report.from_message(end["verdict"])
        # on the first node, and on each node that decided alone
        if self._process.local_rank == 0 and ("decided_alone" in end or self._process.is_first):
            reports.save_report(report, self._folder, self._process.node)
        was_alive = self._training_process.is_alive
        send(self._training, {**end, "text": str(report)})
        if await self._training_process.ends_within(self._seconds_to_end(end, report)) and was_alive:
            return
        print(report, file=sys.stderr, flush=True)
        self._training_process.kill()

    def _seconds_to_end(self, end: Message, report: Report) -> float:
        if report.kind == reports.STALLED and end.get("is_own"):
            return self._timeouts.heartbeat  # it has not reacted for long enough
        closes_files = self._failure is not None or self._is_done  # and the loggers, before it ends
        return self._timeouts.shutdown * (3 if closes_files else 1)

    async def _wait_for_other_agents(self, server: Coordinator | None) -> None:
        """The coordinator stays until all agents have the verdict, including those that are still starting."""
        began = time.monotonic()
        while server is not None and not server.all_disconnected:
            waited = time.monotonic() - began
            if waited > (self._timeouts.shutdown if server.all_connected else 2 * self._timeouts.lost):
                return
            await asyncio.sleep(_POLL_SECONDS / 4)
            if self._coordinator is not None:
                self._coordinator.close()


def main(options: str) -> None:
    """Runs the agent with these ``AgentOptions``, as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training, which reports how it ends
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    async def run() -> None:
        await Agent(AgentOptions.from_json(options)).run()
        sys.stderr.flush()
        os._exit(0)  # closes what is still open, without asyncio's warnings about it in the training's log

    asyncio.run(run())
