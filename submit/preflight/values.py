"""Values that azureml-core takes as they come, and that Azure ML refuses a quarter of an hour later."""

import re

from submit.preflight.findings import Finding, error, warning

_SIZE = re.compile(r"([1-9][0-9]*)([kmg])", re.IGNORECASE)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*:[0-9a-f]{32,}")
_IMAGE = re.compile(  # as in https://pkg.go.dev/github.com/distribution/reference
    r"((?P<host>[A-Za-z0-9.-]+(:[0-9]+)?)/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>\S+))?",
    re.ASCII,
)


def check_shm_size(value: object) -> list[Finding]:
    """Docker's own format; a bare number would be a number of bytes."""
    if isinstance(value, str) and _SIZE.fullmatch(value):
        return []
    return [error(f"--shm_size {value!r}: expected a number with its unit, k, m or g, such as '16g'")]


def check_experiment_name(name: str) -> list[Finding]:
    """azureml-core's own rule, which it applies when it has begun to submit."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", name):
        return []
    return [
        error(
            f"--experiment {name!r}: expected 1 to 255 letters, digits, '-' and '_' (found {len(name)} characters), "
            "beginning with a letter or digit"
        )
    ]


def check_compute_name(name: str, flag: str = "--compute") -> list[Finding]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""
    if re.fullmatch(r"[A-Za-z0-9-]{2,32}", name):
        return []
    return [
        error(f"{flag} {name!r}: expected 2 to 32 letters, digits and '-' (found {len(name)} characters)"),
    ]


def check_image(image: str) -> list[Finding]:
    """A reference such as ``mcr.microsoft.com/azureml/NAME:TAG``."""
    match = _IMAGE.fullmatch(image)
    if not match or (match["digest"] and not _DIGEST.fullmatch(match["digest"])):
        expected = "expected HOST/NAME:TAG in small letters, without 'https://' and blanks"
        return [error(f"--docker_image {image!r}: {expected}")]
    if not match["digest"] and match["tag"] in (None, "latest"):
        return [warning(f"--docker_image {image!r}: without a tag of its own it can change from job to job; give one")]
    return []
