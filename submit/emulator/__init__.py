"""A loopback Azure ML service, which an unmodified azureml-core talks to as it would to the real one.

It knows what a job needs: run history, metrics, artefacts with their blobs, models and tokens; and what submitting one
needs: the workspace, computes, datastore, snapshots and execution. It keeps the documented limits of the real service,
and refuses and remembers whatever it doesn't know.
"""

from submit.rehearsal.faults import Fault
from submit.rehearsal.runs import MetricRow, Run
from submit.rehearsal.service import AzureMLService
from submit.rehearsal.state import RegisteredModel, Request
from submit.rehearsal.submissions import Compute, SubmittedJob

__all__ = ["AzureMLService", "Compute", "Fault", "MetricRow", "RegisteredModel", "Request", "Run", "SubmittedJob"]
