"""The runs of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.runs.facts import duration, moment
from submit.runs.patience import asking

if TYPE_CHECKING:
    from azureml.core import Workspace

_NEWEST_FIRST = ("CreatedUtc", "desc")  # azureml-core's own order is by start, which queued runs don't have yet

_NAMED = 10  # experiments in a message


@dataclass(frozen=True)
class Entry:
    """A run in a list."""

    run_id: str
    status: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    tags: Mapping[str, str]

    @property
    def duration(self) -> timedelta | None:
        return duration(self.started, self.ended)

    @property
    def model(self) -> str | None:
        return self.tags.get("model")


def entries(workspace: "Workspace", experiment: str, limit: int) -> list[Entry]:
    """The newest runs, the newest of them first.

    Raises:
        SubmitError: There is no such experiment.
        FailureError: Azure ML doesn't answer.
    """
    from azureml._restclient.experiment_client import ExperimentClient
    from azureml.core import Experiment

    with asking(f"the runs of {experiment}"):
        # Experiment(workspace, experiment) would make it where it isn't there
        found = {each.name: each for each in Experiment.list(workspace)}
        if experiment not in found:
            there = ", ".join(sorted(found)[:_NAMED]) or "none"
            raise SubmitError(f"--experiment {experiment!r}: the workspace has no such experiment; it has {there}")
        client = ExperimentClient(workspace.service_context, experiment, found[experiment].id)
        runs = list(islice(client.get_runs(last=limit, order_by=_NEWEST_FIRST), limit))
    return [
        Entry(
            run.run_id,
            run.status,
            moment(run.created_utc),
            moment(run.start_time_utc),
            moment(run.end_time_utc),
            dict(run.tags or {}),
        )
        for run in runs
    ]
