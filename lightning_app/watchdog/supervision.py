"""Runs a command under the watchdog: whatever its end, the other processes hear of it."""

import contextlib
import os
import traceback
from collections.abc import Callable

from lightning_app.distributed.launch import LIGHTNING, Launch
from lightning_app.watchdog import reports
from lightning_app.watchdog.protocol import ProcessId
from lightning_app.watchdog.watchdog import WHERE, Watchdog

_COMMUNICATION = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "TCPStore", "Broken pipe")


def start(watchdog: Watchdog, launch: Launch, environment: dict[str, str]) -> None:
    """Starts it where the launcher has started several processes; where Lightning is to do so, ``start_alone`` does."""
    place = ProcessId(launch.node_rank, launch.local_rank, None if launch.lightning_starts_rest else launch.rank)
    if launch.launcher == LIGHTNING:
        address, _, port = environment.get(WHERE, "").rpartition(":")
        if address and port.isdecimal():
            watchdog.starter = os.getppid() if launch.local_rank > 0 else None
            watchdog.start(place, address, int(port), launch.nodes or 1, launch.world_size)
    elif launch.world_size > 1:
        # the port of rank 0 itself is torch's
        several = launch.nodes if launch.nodes is not None else 2
        watchdog.start(place, launch.address or "127.0.0.1", (launch.port or 0) + 1, several, launch.world_size)


def start_alone(watchdog: Watchdog, processes: int) -> None:
    """In the only process so far of a training on one node, before Lightning starts the others."""
    if not watchdog.is_running and processes > 1:
        watchdog.start(ProcessId(0, 0, 0), "127.0.0.1", 0, 1, processes)


def run_supervised(
    watchdog: Watchdog, command: Callable[[], None], told: Callable[[BaseException], str | None]
) -> None:
    """Runs ``command``; if it or another process fails, this one ends as well.

    Args:
        watchdog: That of this process; if it isn't running, what the command raises is raised.
        command: The work.
        told: The one line for an error that the user can mend.
    """
    status: int = 0
    try:
        command()
        verdict = watchdog.done()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        interrupted = isinstance(end.__context__, KeyboardInterrupt)
        kind = reports.INTERRUPTED if interrupted else reports.EXITED
        verdict = watchdog.failed(kind, f"Exit status {status}.") if status else watchdog.done()
        if verdict is None:
            raise
    except BaseException as error:
        status, kind, text = _described(error, told)
        verdict = watchdog.failed(kind, text)
        if verdict is None:
            raise
    if verdict is not None:
        watchdog.leave(verdict, status if verdict.is_ours and status else verdict.status)


def _described(error: BaseException, told: Callable[[BaseException], str | None]) -> tuple[int, str, str]:
    """Exit status, kind and text."""
    line = told(error)
    if line is not None:
        return 2, reports.USAGE_ERROR, line
    if isinstance(error, KeyboardInterrupt):
        return 1, reports.INTERRUPTED, ""
    kind = reports.COLLECTIVE if is_communication_error(error) else reports.RAISED
    return 1, kind, "".join(traceback.format_exception(error))


def is_communication_error(error: BaseException) -> bool:
    """Whether somebody else is the cause, who doesn't answer."""
    with contextlib.suppress(ImportError):
        from torch.distributed import DistError  # here: a process that failed before loading torch needn't load it

        if isinstance(error, DistError):
            return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _COMMUNICATION)
