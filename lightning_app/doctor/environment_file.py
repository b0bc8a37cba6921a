"""Reads the environment of a process from a file or pasted text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_app.distributed.launch import SPAWNED_BY
from lightning_app.errors import UsageError

# env: NAME=VALUE; export -p: declare -x NAME="VALUE"; a shell script: export NAME='VALUE'; YAML and logs: NAME: VALUE
_LINE = re.compile(r"""\s*(?:export\s+|declare\s+-x\s+|set\s+)?["']?([A-Za-z_]\w*)["']?(?:\s*=|:(?=\s|$))(.*)""")
# different in each process of a training
_PER_PROCESS = ("RANK", "LOCAL_RANK", "NODE_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK")


@dataclass(frozen=True)
class EnvironmentFile:
    """The variables in a file, and the number of lines that are no variables."""

    environment: Mapping[str, str]
    skipped_lines: int


def parse_environment(text: str) -> EnvironmentFile:
    """Parses the output of ``env`` or ``export -p``, a script, YAML or /proc/PID/environ, of one process.

    Raises:
        UsageError: It contains no variables, those of several processes, or those of a process that Lightning started.
    """
    environment: dict[str, str] = {}
    skipped = 0
    for line in text.replace("\0", "\n").lstrip("\ufeff").splitlines():
        found = _LINE.match(line)
        if found:
            _add(environment, found[1], _unquote(found[2]))
        elif line.strip():
            skipped += 1
    _require_usable(environment)
    return EnvironmentFile(environment, skipped)


def _add(environment: dict[str, str], name: str, value: str) -> None:
    before = environment.get(name, value)
    if before != value and name in _PER_PROCESS:
        raise UsageError(f"{name} occurs twice, as {before!r} and {value!r}; give the environment of one process")
    environment[name] = value


def _unquote(value: str) -> str:
    """Removes the quotes of a shell, of YAML or of JSON."""
    value = value.strip()
    quoted = re.fullmatch(r"""(["'])(.*)\1,?""", value)
    return re.sub(r'\\(["$`\\])', r"\1", quoted[2]) if quoted else value


def _require_usable(environment: Mapping[str, str]) -> None:
    if not environment:
        raise UsageError("there is no NAME=VALUE in it; expected the output of env")
    if SPAWNED_BY in environment:
        raise UsageError(
            "it is of a process that Lightning has started, and has Lightning's variables; give the environment of the "
            "process that the launcher has started"
        )
