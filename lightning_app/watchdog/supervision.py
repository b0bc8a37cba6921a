"""Runs a command under the watchdog: however it ends, the other processes are notified."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable

from lightning_app.distributed.launch import LIGHTNING, Launch
from lightning_app.watchdog import reports
from lightning_app.watchdog.keys import JOB_KEY, random_key
from lightning_app.watchdog.protocol import PROGRESS_FOLDER, ProcessId, SharedProgress
from lightning_app.watchdog.stop import Stopped
from lightning_app.watchdog.watchdog import COORDINATOR_ADDRESS, Watchdog

_COMMUNICATION = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "TCPStore", "Broken pipe")


def start(watchdog: Watchdog, launch: Launch, environment: dict[str, str]) -> None:
    """Starts it where a launcher has started several processes; otherwise ``start_before_lightning`` does."""
    process = ProcessId(launch.node_rank, launch.local_rank, None if launch.lightning_starts_rest else launch.rank)
    if launch.launcher == LIGHTNING:
        address, _, port = environment.get(COORDINATOR_ADDRESS, "").rpartition(":")
        if address and port.isdecimal():
            watchdog.starter = os.getppid() if launch.local_rank > 0 else None
            watchdog.start(process, address, int(port), launch.nodes or 1, launch.world_size)
    elif launch.world_size > 1:
        # MASTER_PORT itself is torch's
        nodes = launch.nodes if launch.nodes is not None else 2  # not known yet, and there may be several
        watchdog.start(process, launch.address or "127.0.0.1", (launch.port or 0) + 1, nodes, launch.world_size)


def start_before_lightning(watchdog: Watchdog, processes: int) -> None:
    """Called before Lightning starts processes; where there is one process so far, it starts the watchdog.

    Args:
        watchdog: Of this process.
        processes: Number of processes of the training.
    """
    if watchdog.is_running:
        watchdog.expect(processes)
    elif processes > 1:
        os.environ.setdefault(JOB_KEY, random_key())  # which the others inherit
        watchdog.start(ProcessId(0, 0, 0), "127.0.0.1", 0, 1, processes)
    elif os.environ.get(PROGRESS_FOLDER):
        watchdog.progress = SharedProgress()


def run_supervised(
    watchdog: Watchdog, command: Callable[[], None], usage_error: Callable[[BaseException], str | None]
) -> None:
    """Runs ``command``; if it or another process fails, this process ends as well.

    Args:
        watchdog: Of this process; if it isn't running, errors of the command are raised.
        command: The work.
        usage_error: Returns the one-line message for an error that the user can fix, and None for any other error.
    """
    status: int = 0
    try:
        command()
        verdict = watchdog.done()
    except Stopped as end:
        status = end.cause.status
        verdict = watchdog.failed(end.cause.kind, end.line, end.cause.signal)
        if verdict is None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                print(end.line, file=sys.stderr, flush=True)
            raise
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        verdict = watchdog.failed(reports.EXITED, f"Exit status {status}.") if status else watchdog.done()
        if verdict is None:
            raise
    except BaseException as error:
        status, kind, text = _classify(error, usage_error)
        verdict = watchdog.failed(kind, text)
        if verdict is None:
            raise
    if verdict is not None:
        watchdog.leave(verdict, status if verdict.is_own and status else verdict.status)


def _classify(error: BaseException, usage_error: Callable[[BaseException], str | None]) -> tuple[int, str, str]:
    """Exit status, kind and text of the report."""
    message = usage_error(error)
    if message is not None:
        return 2, reports.USAGE_ERROR, message
    kind = reports.COLLECTIVE if is_communication_error(error) else reports.RAISED
    return 1, kind, "".join(traceback.format_exception(error))


def is_communication_error(error: BaseException) -> bool:
    """Whether another process is the cause, because it stopped responding."""
    with contextlib.suppress(ImportError):
        from torch.distributed import DistError  # imported here: a process may fail before it has loaded torch

        if isinstance(error, DistError):
            return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _COMMUNICATION)
