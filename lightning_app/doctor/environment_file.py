"""The environment of a process, as people paste it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_app.distributed.launch import SPAWNED_BY
from lightning_app.errors import UsageError

# env: NAME=VALUE; export -p: declare -x NAME="VALUE"; a shell script: export NAME='VALUE'; YAML and logs: NAME: VALUE
_LINE = re.compile(r"""\s*(?:export\s+|declare\s+-x\s+|set\s+)?["']?([A-Za-z_]\w*)["']?(?:\s*=|:(?=\s|$))(.*)""")
# those of which each process has its own
_OF_ONE_PROCESS = ("RANK", "LOCAL_RANK", "NODE_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK")


@dataclass(frozen=True)
class EnvironmentFile:
    """What was understood, and how many lines were not."""

    environment: Mapping[str, str]
    lost_lines: int


def parse_environment(text: str) -> EnvironmentFile:
    """Reads what ``env``, ``export -p``, a script, YAML or /proc/PID/environ shows of one process.

    Raises:
        UsageError: There is no variable in it, or it is of several processes, or of one that can't tell.
    """
    environment: dict[str, str] = {}
    lost = 0
    for line in text.replace("\0", "\n").lstrip("\ufeff").splitlines():
        found = _LINE.match(line)
        if found:
            _add(environment, found[1], _plain(found[2]))
        elif line.strip():
            lost += 1
    _require_useful(environment)
    return EnvironmentFile(environment, lost)


def _add(environment: dict[str, str], name: str, value: str) -> None:
    before = environment.get(name, value)
    if before != value and name in _OF_ONE_PROCESS:
        raise UsageError(f"{name} is in it twice, {before!r} and {value!r}; give the environment of one process")
    environment[name] = value


def _plain(value: str) -> str:
    """Without the quotes of a shell, of YAML or of JSON."""
    value = value.strip()
    quoted = re.fullmatch(r"""(["'])(.*)\1,?""", value)
    return re.sub(r'\\(["$`\\])', r"\1", quoted[2]) if quoted else value


def _require_useful(environment: Mapping[str, str]) -> None:
    if not environment:
        raise UsageError("there is no NAME=VALUE in it; expected what env prints")
    if SPAWNED_BY in environment:
        raise UsageError(
            "it is of a process that Lightning has started, whose variables are Lightning's; give the environment of "
            "the process that the launcher has started"
        )
