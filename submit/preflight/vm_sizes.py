"""GPU sizes that Azure has retired, and what takes their place.

NC, NCv2 and ND (31 August 2023) as in https://learn.microsoft.com/azure/virtual-machines/n-series-migration; NV
(6 September 2023), NCv3 (30 September 2025) and NVv3, NVv4 (30 September 2026) as in
https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list, which names the series that
take their place: NC A100 v4 and NVads A10 v5. Among these it is the size with as many GPUs, or as large a part of one.
"""

import re

from submit.preflight.findings import Finding, error

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


def check_vm_size(vm_size: str) -> list[Finding]:
    if instead := successor(vm_size):
        return [error(f"--vm_size {vm_size!r}: Azure has retired this size; take {instead!r}")]
    if not re.fullmatch(r"(?i:(standard|basic)_)[A-Za-z0-9]+(-[0-9]+[a-z]*)?(_[A-Za-z0-9]+)*", vm_size):
        return [error(f"--vm_size {vm_size!r}: expected the name of a size, such as 'Standard_NC4as_T4_v3'")]
    return []
