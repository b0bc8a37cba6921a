"""Data at another path, read-only, as a job finds it on its node."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && shift 2 && exec "$@"'


class Mount:
    """A folder of this machine, seen at ``target`` by the processes that are started with ``prefix``.

    Where the system allows no mounts to this user, ``target`` is a link to the folder, and ``is_read_only`` false.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self.target = target
        target.mkdir(parents=True)
        self.prefix: Sequence[str] = _prefix(source.resolve(), target)
        self.is_read_only = _works(self.prefix, target)
        if not self.is_read_only:
            self.prefix = ()
            target.rmdir()
            target.symlink_to(source.resolve(), target_is_directory=True)


def _prefix(source: Path, target: Path) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", _SCRIPT, "sh", str(source), str(target)]


def _works(prefix: Sequence[str], target: Path) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    proof = ["sh", "-c", '! touch "$1/.written" 2>/dev/null', "sh", str(target)]
    return subprocess.run([*prefix, *proof], capture_output=True).returncode == 0
