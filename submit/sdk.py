"""Which SDK of Azure ML is used, and why: the one that is asked for, or one that is installed. None is imported here.

What the workspace is takes no part in it: ``config.json`` names no SDK, and a workspace answers both, unless an
administrator has refused SDK v2 by ``v1LegacyMode``, of which the classes of both SDKs show nothing.
"""

from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Literal, cast, get_args

from submit.errors import SubmitError
from submit.interface import Sdk

Name = Literal["v1", "v2"]
NAMES: tuple[Name, ...] = get_args(Name)
NEEDED_BY_ENDPOINTS: Name = "v2"  # azureml-core deploys to the former kinds of endpoints only
PACKAGES: dict[Name, str] = {"v1": "azureml-core", "v2": "azure-ai-ml"}
_MODULES: dict[Name, str] = {"v1": "azureml.core", "v2": "azure.ai.ml"}


def choose_sdk(given: Name | None, needed: Name | None = None) -> Sdk:
    """The SDK that is given, or the one that is installed; v1 where both are, because v2 was added beside it.

    Args:
        given: Of ``--sdk``.
        needed: The only one that has what the command does.

    Raises:
        SubmitError: It isn't installed, or neither is.
    """
    name = given or needed or installed_sdk()
    if not _is_installed(name):
        by = f"--sdk {name}" if given else f"this command needs SDK {name}"
        raise SubmitError(f"{by}: {PACKAGES[name]} isn't installed; {_install(name)}")
    return cast(Sdk, import_module(f"submit.{name}.sdk").SDK)


def installed_sdk(is_installed: Callable[[Name], bool] | None = None) -> Name:
    """The name of the SDK that is taken without ``--sdk``.

    Raises:
        SubmitError: Neither is installed.
    """
    found = [name for name in NAMES if (is_installed or _is_installed)(name)]
    if not found:
        raise SubmitError(f"neither azure-ai-ml (SDK v2) nor azureml-core (SDK v1) is installed; {_install('v2')}")
    return found[0]


def describe_choice(
    given: Name | None, needed: Name | None = None, is_installed: Callable[[Name], bool] | None = None
) -> str:
    """The SDK of ``choose_sdk`` and the reason, as in ``Azure ML SDK v2 (azure-ai-ml 1.35.1): given by --sdk``."""
    name = given or needed or installed_sdk(is_installed)
    try:
        package = f"{PACKAGES[name]} {metadata.version(PACKAGES[name])}"
    except metadata.PackageNotFoundError:  # its modules are there without the package's own description
        package = PACKAGES[name]
    return f"Azure ML SDK {name} ({package}): {_reason(given, needed, is_installed or _is_installed)}"


def _reason(given: Name | None, needed: Name | None, is_installed: Callable[[Name], bool]) -> str:
    if given is not None:
        return "given by --sdk"
    if needed is not None:
        return "this command needs it"
    if all(map(is_installed, NAMES)):
        return "both are installed, and v1 comes first; --sdk v2 takes the other one"
    return "the only one installed"


def _install(name: Name) -> str:
    return f"install it: pip install 'lightning-azureml[{name}]'"


def _is_installed(name: Name) -> bool:
    """Whether the SDK's package can be imported, without its import."""
    try:
        return find_spec(_MODULES[name]) is not None
    except ModuleNotFoundError:  # a package above it
        return False
