"""Reads the request of a job, by the SDK that has sent it."""

from typing import TYPE_CHECKING

from submit.execution.definition import Definition
from submit.execution.v1_definition import V1Definition
from submit.execution.v2_definition import V2Definition

if TYPE_CHECKING:
    from submit.emulator import SubmittedJob


def definition_of(job: "SubmittedJob") -> Definition:
    if "properties" in job.definition:
        return V2Definition(job.definition["properties"])
    return V1Definition(job.definition["Configuration"])
