"""A loopback Azure ML service, which an unmodified azureml-core talks to as it would to the real one.

It knows what a job needs: run history, metrics, artefacts with their blobs, models and tokens. It keeps the documented
limits of the real service, and refuses and remembers whatever it doesn't know.
"""

from submit.rehearsal.faults import Fault
from submit.rehearsal.service import AzureMLService
from submit.rehearsal.state import MetricRow, RegisteredModel, Request, Run

__all__ = ["AzureMLService", "Fault", "MetricRow", "RegisteredModel", "Request", "Run"]
