"""Whether what pip is given for an environment fits what the project needs: a fixed version, a wheel, or a range."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

_OPTIONS = re.compile(r"\s--?\w[\w-]*[= ].*")  # of a line, such as hashes


def named(line: str) -> NormalizedName:
    """The name of the package of a line for pip, in its normal form."""
    return canonicalize_name(re.split(r"[\s=<>~!;@\[]", line, maxsplit=1)[0])


def unfit(lines: Sequence[str], needs: Sequence[Requirement]) -> Iterator[tuple[str, str, SpecifierSet]]:
    """The packages in lines for pip of which no version is one that the project needs.

    Args:
        lines: Without comments; a line that can't be read, such as an option, is left to pip.
        needs: What the project needs.

    Yields:
        The name, what the line says of its version, and what the project needs.
    """
    wanted = {canonicalize_name(each.name): each.specifier for each in needs}
    for line in lines:
        specifier = wanted.get(named(line))
        given = None if specifier is None else _given(line)
        if specifier is not None and given is not None and not _overlap(given, specifier):
            fixed = [each for each in given if each.operator in ("==", "===")]
            yield named(line), fixed[0].version if len(given) == 1 and fixed else str(given), specifier


def _given(line: str) -> SpecifierSet | None:
    """The versions that a line allows; None if it doesn't say."""
    try:
        requirement = Requirement(_OPTIONS.sub("", line).strip())
    except InvalidRequirement:
        return None
    if requirement.url is None:
        return requirement.specifier or None
    try:
        version = parse_wheel_filename(unquote(requirement.url.partition("#")[0].rpartition("/")[2]))[1]
    except InvalidWheelFilename:
        return None
    return SpecifierSet(f"=={version}")


def _overlap(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether a version is in both; where it isn't certain, it may be.

    Ranges that have a common part have one that begins at a bound of one of them, or ends there.
    """
    try:
        bounds = [Version(each.version.removesuffix(".*")) for each in (*one, *other)]
    except InvalidVersion:
        return True  # pip's own error says what is wrong
    candidates = [candidate for bound in bounds for candidate in _around(bound)]
    both = one & other
    return not bounds or any(both.contains(candidate, prereleases=True) for candidate in candidates)


def _around(bound: Version) -> Iterator[Version]:
    """The version itself, one a little later, and one a little earlier."""
    yield bound
    yield Version(f"{bound.base_version}.1")
    release = list(bound.release)
    while release and release[-1] == 0:
        release.pop()
    if release:
        yield Version(".".join(str(each) for each in (*release[:-1], release[-1] - 1, 99999)))
