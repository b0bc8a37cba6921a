"""Memory that a step has freed, kept for the next step."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# of mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = -1
_LARGEST_MMAP_THRESHOLD = 32 << 20  # bytes; glibc accepts no more
_CHOSEN_BY = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")  # variables of the user's


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Lets this process keep the memory that it frees, and use it again, until the end of the context.

    The tensors of a step are freed at its end. glibc gives such memory back to the system as soon as it exceeds a limit
    that depends on what was freed before: then each step has to get it anew, page by page. In three trainings by two
    processes of CifarNet with batches of 128, one of the two had 250 to 1,060 page faults a step, and a step took 13.4
    to 14.9 ms, for which a bare loop without page faults took 11.7. Tensors of more than 32 MB aren't kept.

    It does nothing where there is no glibc, or where the environment sets a limit.
    """
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    keeps = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") and not any(v in os.environ for v in _CHOSEN_BY)
    if keeps:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        if keeps:
            libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)  # the highest one that glibc chooses itself
            libc.malloc_trim(0)
