"""Whether this process is part of an Azure ML job; only this module reads that from the environment."""

import os
from collections.abc import Mapping

# With one of these missing, azureml-core works offline without a message (measured with azureml-core 1.61).
REQUIRED = (
    "AZUREML_RUN_ID",
    "AZUREML_RUN_TOKEN",
    "AZUREML_SERVICE_ENDPOINT",
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_ARM_PROJECT_NAME",
)


def run_id(environment: Mapping[str, str] = os.environ) -> str | None:
    """The run that Azure ML started; None outside a job or if a variable is missing."""
    return None if missing_variables(environment) else environment["AZUREML_RUN_ID"]


def missing_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that azureml-core needs and that are not set."""
    return [name for name in REQUIRED if not environment.get(name)]


def partly_missing(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The missing variables if others are set, which means that this should be a job."""
    absent = missing_variables(environment)
    return absent if len(absent) < len(REQUIRED) else []
