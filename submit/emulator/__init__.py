"""An emulator of Azure ML on 127.0.0.1, for an unmodified azureml-core.

It has the interfaces that a job uses (run history, metrics, artifacts, blobs, models, environments, secrets, tokens),
those that submitting a job uses (login, workspace, computes, datastores, datasets, environments, snapshots, jobs,
sweeps), those of interactive runs with their children, and the metadata service of nodes. It keeps everything in
memory, enforces the documented limits of the service, injects faults on request, and refuses and records every request
that it has no route for.

It runs no jobs itself: ``submit.execution`` does, for ``python -m submit.emulator --workspace`` and for rehearsals.
"""

from submit.emulator.faults import Fault
from submit.emulator.service import AzureMLEmulator
from submit.emulator.state import Compute, Eviction, MetricRow, RecordedRequest, RegisteredModel, Run, SubmittedJob

__all__ = [
    "AzureMLEmulator",
    "Compute",
    "Eviction",
    "Fault",
    "MetricRow",
    "RecordedRequest",
    "RegisteredModel",
    "Run",
    "SubmittedJob",
]
