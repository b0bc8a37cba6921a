"""Freed memory is used again, and given back at the end."""

import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment

PROGRAM = """
import resource, sys
from contextlib import nullcontext
from lightning_app.trainer.freed_memory import freed_memory_kept

MB = 1 << 20

def step():
    tensors = [bytearray(MB) for _ in range(40)] + [bytearray(20 * MB)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // MB

before = resident()
with freed_memory_kept() if sys.argv[1] == "kept" else nullcontext():
    for _ in range(3):
        step()
    started = faults()
    for _ in range(10):
        step()
    print((faults() - started) // 10, resident() - before)
print(resident() - before)
"""


def page_faults_and_megabytes(mode: str, **variables: str) -> tuple[int, int, int]:
    """Page faults of a step that uses and frees 60 MB; resident memory after all steps, and after the context."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True, cwd=ROOT,
        env=environment() | variables, timeout=60,
    )  # fmt: skip
    faults, within, after = map(int, done.stdout.split())
    return faults, within, after


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is concerned")
def test_a_step_uses_the_memory_of_the_one_before_and_the_end_gives_it_back() -> None:
    assert page_faults_and_megabytes("as usual")[0] > 1000  # 60 MB have 15,360 pages

    faults, within, after = page_faults_and_megabytes("kept")

    assert faults < 10
    assert within > 55
    assert after < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is concerned")
def test_a_limit_of_the_users_stays() -> None:
    assert page_faults_and_megabytes("kept", MALLOC_TRIM_THRESHOLD_="131072")[0] > 1000
