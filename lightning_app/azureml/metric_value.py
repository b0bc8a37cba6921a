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
    """

    name: str
    service_name: str
    identity: str
    data: dict[str, Any]
    columns: dict[str, str]
    kind: str
    step: int | None = None
    created: datetime | None = None

    def metric_id(self, run_id: str) -> str:
        """The id of the value, the same each time it is sent, so that the service can be asked whether it has it."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{self.kind}/{self.service_name}/{self.identity}"))


def scalar_value(
    name: str, service_name: str, identity: str, step: int, value: float, created: datetime | None = None
) -> MetricValue:
    """A point of a chart; ``identity`` is that of the row."""
    # always double: a name whose first value is a whole number would be a column of integers for good
    data = {service_name: float(value)}
    return MetricValue(name, service_name, f"{identity}/{step}", data, {service_name: "double"}, SCALAR, step, created)
