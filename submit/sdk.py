"""Which SDK of Azure ML is used: the one that is asked for, or one that is installed. Neither is imported here."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, cast, get_args

from submit.errors import SubmitError
from submit.interface import Sdk

Name = Literal["v1", "v2"]
NAMES: tuple[Name, ...] = get_args(Name)
PACKAGES: dict[Name, str] = {"v1": "azureml-core", "v2": "azure-ai-ml"}
_MODULES: dict[Name, str] = {"v1": "azureml.core", "v2": "azure.ai.ml"}


def choose_sdk(given: Name | None) -> Sdk:
    """The SDK that is given, or the one that is installed; v1 where both are, because v2 was added beside it.

    Raises:
        SubmitError: It isn't installed, or neither is.
    """
    if given is None:
        given = installed_sdk()
    elif not _is_installed(given):
        raise SubmitError(f"--sdk {given}: {PACKAGES[given]} isn't installed; {_install(given)}")
    return cast(Sdk, import_module(f"submit.{given}.sdk").SDK)


def installed_sdk(is_installed: Callable[[Name], bool] | None = None) -> Name:
    """The name of the SDK that is taken without ``--sdk``.

    Raises:
        SubmitError: Neither is installed.
    """
    found = [name for name in NAMES if (is_installed or _is_installed)(name)]
    if not found:
        raise SubmitError(f"neither azure-ai-ml (SDK v2) nor azureml-core (SDK v1) is installed; {_install('v2')}")
    return found[0]


def _install(name: Name) -> str:
    return f"install it: pip install 'lightning-azureml[{name}]'"


def _is_installed(name: Name) -> bool:
    """Whether the SDK's package can be imported, without its import."""
    try:
        return find_spec(_MODULES[name]) is not None
    except ModuleNotFoundError:  # a package above it
        return False
