"""Programs of the operating system that tests need; where one is missing, the test says how CI installs it."""

import shutil

import pytest

INSTALL = "apt-get update && apt-get install -y --no-install-recommends"


def require_program(name: str, package: str) -> str:
    """The program's path.

    A test without its program fails: one that is skipped would look like one that passes, and go on doing so.
    """
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.fail(f"this test needs {name}, which isn't installed; install it: {INSTALL} {package}", pytrace=False)
    return found
