"""An Azure ML emulator on 127.0.0.1 that an unmodified azureml-core talks to.

It knows what a job needs: run history, metrics, artifacts with their blobs, models and tokens; and what submitting one
needs: the workspace, computes, datastore, snapshots and execution. It keeps the documented limits of the real service,
and refuses and remembers whatever it doesn't know.
"""

from submit.emulator.faults import Fault
from submit.emulator.service import AzureMLEmulator
from submit.emulator.state import Compute, MetricRow, RecordedRequest, RegisteredModel, Run, SubmittedJob

__all__ = [
    "AzureMLEmulator",
    "Compute",
    "Fault",
    "MetricRow",
    "RecordedRequest",
    "RegisteredModel",
    "Run",
    "SubmittedJob",
]
