"""Sizes of virtual machines: which ones a workspace has, how many GPUs they have, and which are retired."""

import difflib
import re
from collections.abc import Mapping

from submit.errors import SubmitError
from submit.preflight.findings import Finding, error

RECOMMENDED_SIZE = "Standard_NC4as_T4_v3"  # the smallest with a GPU


def gpus_of(sizes: Mapping[str, int] | None, vm_size: str) -> int | None:
    """The number of GPUs of a size; None if the workspace doesn't say."""
    return {name.lower(): gpus for name, gpus in (sizes or {}).items()}.get(vm_size.lower())


def require_size(location: str, names: Mapping[str, int] | None, vm_size: str) -> None:
    """The service's own list decides; the table of retired sizes is for the message, and where there is no list.

    Raises:
        SubmitError: The region has no such machines.
    """
    instead = successor(vm_size)
    if names is None:
        if instead:
            raise SubmitError(f"--vm_size {vm_size!r}: Azure has retired this size; take {instead!r}")
        return
    by_lower = {name.lower(): name for name in names}
    if names and vm_size.lower() not in by_lower:
        close = difflib.get_close_matches(vm_size.lower(), by_lower, n=3)
        nearest = ", ".join(repr(by_lower[name]) for name in close) or f"such as {next(iter(names))!r}"
        advice = f"Azure has retired this size; take {instead!r}" if instead else f"nearest are {nearest}"
        raise SubmitError(f"--vm_size {vm_size!r}: {location} has no such machines; {advice}")


_SUCCESSORS = {
    "nc6": "NC4as_T4_v3",
    "nc12": "NC16as_T4_v3",
    "nc24": "NC64as_T4_v3",
    "nc24r": "NC64as_T4_v3",
    "nc6s_v2": "NC24ads_A100_v4",
    "nc12s_v2": "NC48ads_A100_v4",
    "nc24s_v2": "NC96ads_A100_v4",
    "nc24rs_v2": "NC96ads_A100_v4",
    "nc6s_v3": "NC24ads_A100_v4",
    "nc12s_v3": "NC48ads_A100_v4",
    "nc24s_v3": "NC96ads_A100_v4",
    "nc24rs_v3": "NC96ads_A100_v4",
    "nd6s": "NC4as_T4_v3",
    "nd12s": "NC16as_T4_v3",
    "nd24s": "NC64as_T4_v3",
    "nd24rs": "ND96amsr_A100_v4",
    "nv6": "NV36ads_A10_v5",
    "nv12": "NV72ads_A10_v5",
    "nv24": "NV72ads_A10_v5",
    "nv12s_v3": "NV36ads_A10_v5",
    "nv24s_v3": "NV72ads_A10_v5",
    "nv48s_v3": "NV72ads_A10_v5",
    "nv4as_v4": "NV6ads_A10_v5",
    "nv8as_v4": "NV12ads_A10_v5",
    "nv16as_v4": "NV18ads_A10_v5",
    "nv32as_v4": "NV36ads_A10_v5",
}
_ALIASES = {"nd6": "nd6s", "nd12": "nd12s", "nd24": "nd24s", "nd24r": "nd24rs"}  # as the migration guide spells them


def successor(vm_size: str) -> str | None:
    """The size to take instead of a retired one, however its letters are written; None for any other size."""
    name = vm_size.strip().lower().removeprefix("standard_").removesuffix("_promo")
    found = _SUCCESSORS.get(_ALIASES.get(name, name))
    return f"Standard_{found}" if found else None


def check_vm_size(vm_size: str, flag: str = "--vm_size") -> list[Finding]:
    if not re.fullmatch(r"(?i:(standard|basic)_)[A-Za-z0-9]+(-[0-9]+[a-z]*)?(_[A-Za-z0-9]+)*", vm_size):
        return [error(f"{flag} {vm_size!r}: expected the name of a size, such as 'Standard_NC4as_T4_v3'")]
    return []
