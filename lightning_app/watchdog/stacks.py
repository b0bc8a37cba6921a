"""What a process that makes no progress is doing, derived from its stack."""

import importlib.util
import re
import sys
import threading
import traceback
from collections.abc import Sequence


def _file_of(module: str) -> str:
    """The end of the path of the module's file, which is the same on all nodes. It isn't imported: it loads torch."""
    file = module.replace(".", "/") + ".py"
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"no module {module}"
    assert (spec.origin or "").endswith(file)
    return file


WAITING, SLOW_IO, BUSY = "waiting", "slow I/O", "busy"
_FRAME = re.compile(r'^  File "(?P<file>.*)", line \d+, in (?P<function>.*)$', re.MULTILINE)
# waits for the other processes: in a collective operation, or in the backward pass, where DDP's all-reduce runs
_COLLECTIVE = "torch/distributed/"
_BACKWARD = ("torch/autograd/graph.py", "torch/autograd/__init__.py")
# may take minutes, on a mount or over the network
_SLOW_FUNCTIONS = {"prepare_data", "setup", "save_checkpoint", "load_checkpoint", "finish_writing"}
_SLOW_FILES = (
    "torch/utils/data/dataloader.py",
    "torch/serialization.py",
    "torch/hub.py",
    _file_of("lightning_app.distributed.sync"),  # reads checkpoints and sends them to other nodes
    "<frozen importlib._bootstrap>",  # imports from a slow disk, or on a busy machine
)
_INNERMOST = 8  # frames that show what it is doing right now


def stack_of_main_thread() -> str:
    """The main thread's stack in the format of a traceback; called in another thread.

    A signal handler (faulthandler.register) isn't used for this: it crashed the process with a segmentation fault
    about once in a thousand times.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def frames(stack: str) -> list[tuple[str, str]]:
    """File and function of each frame, the innermost first."""
    return [(found["file"], found["function"]) for found in _FRAME.finditer(stack)][::-1]


def in_collective(stack: str) -> bool:
    return any(_COLLECTIVE in file for file, _ in frames(stack)[:_INNERMOST])


def activity(stack: str) -> str:
    """``WAITING`` for other processes, ``SLOW_IO`` or ``BUSY``."""
    innermost_first = frames(stack)
    if in_collective(stack) or any(file.endswith(_BACKWARD) for file, _ in innermost_first[:2]):
        return WAITING
    if any(function in _SLOW_FUNCTIONS or file.endswith(_SLOW_FILES) for file, function in innermost_first):
        return SLOW_IO
    return BUSY


def _activity(stack: str | None, progress: int) -> str:
    found = WAITING if stack is None else activity(stack)
    return SLOW_IO if found == BUSY and progress == 0 else found  # it is still importing its libraries


def stalled_ranks(
    stacks: Sequence[str | None], progress: Sequence[int], idle: float, stall: float, slow_io: float
) -> list[int]:
    """The processes that keep the others waiting, as indices; empty if no process seems to wait.

    Args:
        stacks: The stack of each process; ``""`` if it didn't send one, None if it is done and waits for the others.
        progress: How many times each has reported progress, 0 until setup. On a GPU, where waiting doesn't show in the
            stack, the processes that wait are those that are ahead.
        idle: Seconds since any process made progress.
        stall: Seconds for which one may keep the others waiting.
        slow_io: The same for one that prepares, reads or saves data.
    """
    indices = range(len(stacks))
    activities = [_activity(stacks[index], progress[index]) for index in indices]
    waiting = [index for index in indices if activities[index] == WAITING]
    busy = [index for index in indices if activities[index] == BUSY]
    behind = [index for index in indices if progress[index] < max(progress)]
    if busy and waiting:
        return busy if idle >= stall else []
    if busy:
        return [index for index in busy if index in behind] if idle >= stall else []
    if len(waiting) < len(stacks):
        return [index for index in indices if activities[index] == SLOW_IO] if idle >= slow_io else []
    all_in_collective = all(stack is not None and in_collective(stack) for stack in stacks)
    return list(indices) if all_in_collective and idle >= 3 * stall else []
