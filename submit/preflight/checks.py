"""All that is checked of a snapshot before anything is sent."""

from collections.abc import Sequence
from pathlib import Path

from submit.preflight import contents, ignore_files, limits, links, secret_names, secret_texts, training_files
from submit.preflight.findings import Finding, error
from submit.preflight.snapshot import Snapshot


def check_snapshot(snapshot: Snapshot, arguments: Sequence[str] = ()) -> list[Finding]:
    """Findings on what would be uploaded for a training command with these arguments, errors first."""
    if snapshot.impossible:
        return links.check_impossible(snapshot)  # the rest isn't known then
    findings = [*_as_a_whole(snapshot), *_unwanted(snapshot, arguments), *_needed(snapshot, arguments)]
    return sorted(findings, key=lambda finding: finding.level)


def check_folder(folder: Path, arguments: Sequence[str] = ()) -> list[Finding]:
    if not folder.is_dir():
        return [error(f"snapshot: {str(folder)!r} is no folder; expected the one with the project in it")]
    return check_snapshot(Snapshot.of(folder), arguments)


def _as_a_whole(snapshot: Snapshot) -> list[Finding]:
    checks = (limits.check_size, limits.check_count, limits.check_emptiness, limits.check_readable)
    more = (links.check_links, ignore_files.check_ignore_file, ignore_files.check_nested, ignore_files.check_patterns)
    return [finding for check in (*checks, *more) for finding in check(snapshot)]


def _unwanted(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    things = (contents.check_git, contents.check_virtual_environments, contents.check_runs, contents.check_caches)
    secrets = (secret_names.check_secret_names, secret_texts.check_secret_texts)
    findings = [finding for check in (*things, contents.check_images, *secrets) for finding in check(snapshot)]
    return findings + contents.check_checkpoints(snapshot, training_files.named_files(snapshot, arguments))


def _needed(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    return [
        *training_files.check_code(snapshot, arguments),
        *training_files.check_named_files(snapshot, arguments),
    ]
