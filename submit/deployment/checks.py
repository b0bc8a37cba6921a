"""Checks of a deployment before anything is sent, without a network."""

import re
from collections.abc import Iterator

from submit.deployment.deployment import Deployment
from submit.preflight.findings import Finding, error, note, warning
from submit.vm_sizes import check_vm_size, successor

SMALLEST = "Standard_DS3_v2"
"""The smallest size that Azure recommends for a general-purpose endpoint."""
_SMALL = ("standard_ds1_v2", "standard_ds2_v2", "standard_f2s_v2")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
_GPU = re.compile(r"(?i:standard_n).*")


def deployment_findings(wanted: Deployment) -> Iterator[Finding]:
    """What Azure ML would refuse of a deployment, or what costs more than is needed."""
    yield from name_findings(wanted.endpoint, wanted.name)
    flag, size = "--instance_type", wanted.instance_type
    wrong = check_vm_size(size, flag)
    yield from wrong
    if instead := successor(size):
        yield error(f"{flag} {size!r}: Azure has retired this size; take {instead!r}")
    elif size.lower() in _SMALL:
        yield warning(f"{flag} {size!r}: may be too small; Azure recommends {SMALLEST} or larger for an endpoint")
    elif _GPU.fullmatch(size) and not wrong:
        yield note(f"{flag} {size!r}: has a GPU, which the scoring code doesn't use; {SMALLEST} costs less")


def name_findings(endpoint: str, deployment: str | None) -> Iterator[Finding]:
    """Names that no endpoint and no deployment can have."""
    for flag, name in (("--endpoint", endpoint), ("--deployment", deployment)):
        if name is not None and not _NAME.fullmatch(name):
            yield error(
                f"{flag} {name!r}: expected 3 to 32 letters, digits and hyphens, beginning with a letter and ending "
                "with a letter or a digit"
            )
