"""What a process is doing that doesn't get ahead, by the names on its stack."""

import importlib.util
import re
import sys
import threading
import traceback
from collections.abc import Sequence


def _file_of(module: str) -> str:
    """The file of a module, which isn't imported for that: this process loads no torch."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin


WAITING, PATIENT, BUSY = "waiting", "patient", "busy"
_FRAME = re.compile(r'^  File "(?P<file>.*)", line \d+, in (?P<function>.*)$', re.MULTILINE)
# it waits for the others: in a collective operation, or in backward, where DDP's run
_COLLECTIVE = "torch/distributed/"
_BACKWARD = ("torch/autograd/graph.py", "torch/autograd/__init__.py")
# it does what may take minutes: on a mount, over the network
_SLOW_FUNCTIONS = {"prepare_data", "setup", "save_checkpoint", "load_checkpoint"}
_SLOW_FILES = (
    "torch/utils/data/dataloader.py",
    "torch/serialization.py",
    "torch/hub.py",
    _file_of("lightning_app.distributed.sync"),  # reads checkpoints and sends them to other nodes
    "<frozen importlib._bootstrap>",  # libraries from a slow disk, or on a machine with too much to do
)
_INNERMOST = 8  # frames that tell what it does right now


def stack_of_main_thread() -> str:
    """What the main thread is doing, asked from another one; in the order of a traceback.

    It isn't taken in a signal handler (faulthandler.register), which ended the process by a segmentation fault once in
    about a thousand times.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def frames(stack: str) -> list[tuple[str, str]]:
    """File and function of the frames, the innermost first."""
    return [(found["file"], found["function"]) for found in _FRAME.finditer(stack)][::-1]


def in_collective(stack: str) -> bool:
    return any(_COLLECTIVE in file for file, _ in frames(stack)[:_INNERMOST])


def activity(stack: str) -> str:
    """``waiting`` for other processes, ``patient`` in something that may take long, or ``busy``."""
    found = frames(stack)
    if in_collective(stack) or any(file.endswith(_BACKWARD) for file, _ in found[:2]):
        return WAITING
    if any(function in _SLOW_FUNCTIONS or file.endswith(_SLOW_FILES) for file, function in found):
        return PATIENT
    return BUSY


def _doing(stack: str | None, progress: int) -> str:
    found = WAITING if stack is None else activity(stack)
    return PATIENT if found == BUSY and progress == 0 else found  # it is still loading its libraries


def stalled_ranks(
    stacks: Sequence[str | None], progress: Sequence[int], idle: float, stall: float, patient: float
) -> list[int]:
    """Which processes keep the others waiting; none where there is no sign that anybody waits.

    Args:
        stacks: Each process's stack; ``""`` if it doesn't react, None if it is done and waits for the others to be.
        progress: How often each has got ahead, 0 until it begins to set up; on a GPU, those that wait have got further.
        idle: Seconds since any has got ahead.
        stall: Seconds for which one may keep the others waiting.
        patient: The same for one that prepares, reads or saves data.
    """
    numbers = range(len(stacks))
    doing = [_doing(stacks[number], progress[number]) for number in numbers]
    waiting = [number for number in numbers if doing[number] == WAITING]
    busy = [number for number in numbers if doing[number] == BUSY]
    behind = [number for number in numbers if progress[number] < max(progress)]
    if busy and waiting:
        return busy if idle >= stall else []
    if busy:
        return [number for number in busy if number in behind] if idle >= stall else []
    if len(waiting) < len(stacks):
        return [number for number in numbers if doing[number] == PATIENT] if idle >= patient else []
    all_collective = all(stack is not None and in_collective(stack) for stack in stacks)
    return list(numbers) if all_collective and idle >= 3 * stall else []
