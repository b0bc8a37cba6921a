"""Symbolic links, which azureml-core follows: what a link leads to is uploaded in the link's place."""

from submit.preflight.findings import Finding, error, warning
from submit.preflight.snapshot import Snapshot


def check_links(snapshot: Snapshot) -> list[Finding]:
    return [*_leading_out(snapshot), *_within(snapshot)]


def check_impossible(snapshot: Snapshot) -> list[Finding]:
    """What azureml-core ends at with an exception, when the job has been described and nothing has been sent."""
    return [
        error(f"snapshot: {name!r} is {reason}, at which azureml-core would end; mend it, or name it in .amlignore")
        for name, reason in snapshot.impossible.items()
    ]


def _leading_out(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        error(
            f"snapshot: {name!r} is a link to {str(target)!r}, whose content would be uploaded; expected links within "
            f"{str(snapshot.folder)!r}, so name it in .amlignore or copy what the job needs"
        )
        for name, target in snapshot.links.items()
        if not target.is_relative_to(root) and name not in snapshot.impossible
    ]


def _within(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        warning(f"snapshot: {name!r} is a link; {target.relative_to(root).as_posix()!r} is uploaded in its place")
        for name, target in snapshot.links.items()
        if target.is_relative_to(root) and name not in snapshot.impossible
    ]
