"""What environments and images hold that others have built: a small table of what their definitions install.

Names don't say it: ``acpt-pytorch-2.2-cuda12.1`` holds PyTorch 2.10. None of them installs Lightning, so that no
curated environment has what this project needs, and the default environment of a job is built: ``submit.environments``.
"""

import re
from dataclasses import dataclass

SOURCE = "Azure/azureml-assets, July 2026"
"""https://github.com/Azure/azureml-assets/tree/main/assets/training/general/environments: ``context/Dockerfile`` and
``vuln-remediation-tracking.md`` of each environment."""

INSTALLED_BY_NONE = ("pytorch-lightning", "torchmetrics", "jsonargparse")
"""Of the packages that this project needs, those that no definition of a curated environment for PyTorch installs."""


@dataclass(frozen=True)
class Contents:
    """What an environment holds; None for what isn't known.

    Attributes:
        source: Where that is known from, for messages.
    """

    python: str | None = None
    torch: str | None = None
    source: str = ""


@dataclass(frozen=True)
class _Curated:
    """Its contents from a version on, which is None for an environment that doesn't change any more."""

    python: str
    torch: str
    since: int | None = None


_CURATED = {
    "acpt-pytorch-2.8-cuda12.6": _Curated("3.10", "2.10.0", since=13),
    "acpt-pytorch-2.2-cuda12.1": _Curated("3.10", "2.10.0", since=54),
    "acpt-pytorch-2.0-cuda11.7": _Curated("3.8", "2.0.0"),
    "acpt-pytorch-1.13-cuda11.7": _Curated("3.8", "1.13.1"),
}
# as the registry of Azure calls them, and as a workspace of SDK v1 does
_NAME = re.compile(r"(azureml-)?(?P<name>acpt-pytorch-[\d.]+)(-py\d+)?(?P<cuda>-cuda[\d.]+)(-gpu)?", re.IGNORECASE)
# the images that these environments begin with, whose names are true: stable-ubuntu2204-cu126-py310-torch280
_BASE = re.compile(r".*/aifx/(acpt/)?[\w-]+-py(?P<python>3\d+)-torch(?P<torch>\d{3,4})(:.*)?")
_CURATED_IMAGE = re.compile(r"mcr\.microsoft\.com/azureml/curated/(?P<name>[\w.-]+)(:(?P<version>[\w.-]+))?")
_PYTORCH_IMAGE = re.compile(r"(docker\.io/)?pytorch/pytorch:(?P<torch>\d+\.\d+\.\d+)-.*")
_PYTHON_IMAGE = re.compile(r"(docker\.io/)?(library/)?python:(?P<python>3\.\d+)\b.*")


def of_environment(name: str, version: str | None) -> Contents | None:
    """The contents of a curated environment, by its name; None if they aren't known."""
    found = _NAME.fullmatch(name)
    known = _CURATED.get(f"{found['name']}{found['cuda']}".lower()) if found else None
    if known is None or not _is_covered(known, version):
        return None
    return Contents(known.python, known.torch, SOURCE)


def of_image(image: str) -> Contents | None:
    """The contents of an image, by its name; None if they aren't known."""
    if found := _CURATED_IMAGE.fullmatch(image):
        return of_environment(found["name"], found["version"])
    if found := _BASE.fullmatch(image):
        digits = found["torch"]
        torch = f"{digits[0]}.{digits[1:-1]}.{digits[-1]}"
        return Contents(f"3.{found['python'][1:]}", torch, "its name")
    if found := _PYTORCH_IMAGE.fullmatch(image):
        return Contents(None, found["torch"], "its name")
    if found := _PYTHON_IMAGE.fullmatch(image):
        return Contents(found["python"], None, "its name")
    return None


def _is_covered(known: _Curated, version: str | None) -> bool:
    if known.since is None or version is None or not version.isdecimal():
        return True  # the newest one
    return int(version) >= known.since
