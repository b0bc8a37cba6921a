"""A value as the service stores it."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SCALAR = "azureml.v1.scalar"


@dataclass(frozen=True)
class MetricValue:
    """One row of a metric at the service.

    ``name`` is the name in the run folder, ``service_name`` the name at the service. ``identity`` distinguishes the
    value from all others of the run. ``created`` is when it was logged; None if that isn't known.
    ``milliseconds`` is that time as MLflow has it, since 1970, and no other value of the name and step has it.
    """

    name: str
    service_name: str
    identity: str
    data: dict[str, Any]
    columns: dict[str, str]
    kind: str
    step: int | None = None
    created: datetime | None = None
    milliseconds: int = 0

    def metric_id(self, run_id: str) -> str:
        """The id of the value, the same each time it is sent, so that the service can be asked whether it has it."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{self.kind}/{self.service_name}/{self.identity}"))


def scalar_value(
    name: str,
    service_name: str,
    identity: str,
    step: int,
    value: float | str,
    created: datetime | None = None,
    milliseconds: int = 0,
) -> MetricValue:
    """A point of a chart; ``identity`` is that of the row. NaN and infinite values may be given as texts."""
    # always double: a name whose first value is a whole number would be a column of integers for good
    data = {service_name: float(value)}
    columns = {service_name: "double"}
    return MetricValue(name, service_name, f"{identity}/{step}", data, columns, SCALAR, step, created, milliseconds)
