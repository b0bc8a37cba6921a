"""An uploaded folder as a version of a data asset, which ``submit run --dataset NAME:VERSION`` takes."""

import re
from dataclasses import dataclass

from submit.errors import SubmitError
from submit.interface import Workspace

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,254}", re.ASCII)
_VERSION = re.compile(r"(?!latest$)[\w.-]+", re.ASCII)  # that name means the newest one


@dataclass(frozen=True)
class Asset:
    """What ``--name`` gives; without a version it is a new one, unless the newest one is the same folder, unchanged."""

    name: str
    version: str | None


def parse_asset(text: str) -> Asset:
    """The name and the version of a data asset.

    Raises:
        SubmitError: ``--dataset`` can't name it.
    """
    name, colon, version = text.partition(":")
    if not _NAME.fullmatch(name) or (colon and not _VERSION.fullmatch(version)):
        raise SubmitError(
            f"--name {text!r}: expected NAME or NAME:VERSION, both of letters, digits, '-', '.' and '_', the first one "
            "of the name a letter or digit, 255 at most, and the version not 'latest'"
        )
    return Asset(name, version or None)


def check_version(workspace: Workspace, asset: Asset, address: str) -> None:
    """Checks that a given version is free, or the folder with this address.

    Raises:
        SubmitError: It is something else, which a version never ceases to be.
        ServiceError: The service doesn't respond.
    """
    found = workspace.find_data(asset.name, asset.version) if asset.version else None
    if found is not None and found.address != address:
        raise SubmitError(
            f"--name {asset.name}:{asset.version}: is {found.address} already, and a version doesn't change; give "
            "another version, or none for the next one"
        )


def register(workspace: Workspace, asset: Asset, address: str, *, has_changed: bool) -> str:
    """Registers the folder with this address, and returns ``NAME:VERSION``.

    Args:
        workspace: Which has the datastore.
        asset: What was given.
        address: Of the folder, ``azureml://datastores/NAME/paths/FOLDER``.
        has_changed: Whether files were sent, so that the newest version isn't what it was.

    Raises:
        ServiceError: The service refuses or doesn't respond.
    """
    found = workspace.find_data(asset.name, asset.version)
    is_there = found is not None and found.address == address and (asset.version is not None or not has_changed)
    if found is not None and is_there:
        return f"{asset.name}:{found.version}"
    return f"{asset.name}:{workspace.register_data(asset.name, asset.version, address)}"
