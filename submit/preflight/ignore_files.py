"""Ignore files that are missing, or that don't do in azureml-core what they do in git."""

from submit.preflight.findings import Finding, listed, warning
from submit.preflight.ignore_rules import AML_IGNORE, GIT_IGNORE, ignore_file, patterns
from submit.preflight.snapshot import Snapshot


def check_ignore_file(snapshot: Snapshot) -> list[Finding]:
    used = ignore_file(snapshot.folder)
    if used is None:
        return [warning(f"{AML_IGNORE}: there is none, so everything is uploaded, .git included; write one")]
    if used.name == GIT_IGNORE:
        return [
            warning(
                f"{AML_IGNORE}: there is none, so {GIT_IGNORE} decides, which leaves .git to be uploaded; write one"
            )
        ]
    return []


def check_nested(snapshot: Snapshot) -> list[Finding]:
    """azureml-core reads the ignore file of the snapshot's root only."""
    nested = [name for name in snapshot.files if name.endswith((f"/{AML_IGNORE}", f"/{GIT_IGNORE}"))]
    telling = [name for name in nested if patterns(snapshot.folder / name)]
    if not telling:
        return []
    return [warning(f"{listed(telling)}: azureml-core doesn't read it; name what it ignores in ./{AML_IGNORE}")]


def check_patterns(snapshot: Snapshot) -> list[Finding]:
    """``!name/`` can't bring a folder back where azureml-core has left it out as ``name``, which git would do."""
    used = ignore_file(snapshot.folder)
    lost = [line for line in patterns(used) if line.startswith("!") and line.endswith("/") and "**" not in line]
    return [
        warning(f"{used.name}: {line!r} brings no ignored folder back in azureml-core; write {line.rstrip('/')!r}")
        for line in lost
        if used
    ]
