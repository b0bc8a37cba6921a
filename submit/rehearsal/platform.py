"""What Azure does by itself: the runs and computes that are there, and what becomes of jobs."""

from dataclasses import replace

from submit.rehearsal import blobs, environments, times
from submit.rehearsal.execution import set_status
from submit.rehearsal.runs import Run
from submit.rehearsal.state import RegisteredModel, Request, State
from submit.rehearsal.submissions import Compute, SubmittedJob


class Platform:
    """What a service holds, and what happens in it without a request; all that it hands out are copies."""

    def __init__(self) -> None:
        self._state = State()

    def new_run(self, experiment: str = "rehearsal") -> Run:
        """A run that has begun, as the platform makes one for a job."""
        with self._state.lock:
            return self._state.add_run(experiment).copy()

    def run(self, run_id: str) -> Run:
        """A copy of the run as it is now; KeyError where there is none."""
        with self._state.lock:
            return self._state.runs[run_id].copy()

    def set_run_status(self, run_id: str, status: str, error: str | None = None) -> None:
        """From Queued over Preparing and Running to Completed, Failed (with an error) or Canceled.

        Raises:
            KeyError: There is no such run.
            ValueError: There is no such status.
        """
        with self._state.lock:
            set_status(self._state.runs[run_id], status, error)

    def add_artifact(self, run_id: str, path: str, content: bytes) -> None:
        """A file that the platform collects, such as user_logs/std_log.txt; added again, it has the new content."""
        with self._state.lock:
            run = self._state.runs[run_id]
            if path not in run.paths:
                run.paths.append(path)
            run.artifacts[path] = content

    def add_compute(self, name: str, vm_size: str, nodes: int) -> None:
        """A cluster of up to so many nodes, which has been there for long."""
        with self._state.lock:
            self._state.computes[name] = Compute(name, vm_size, nodes, times.now())

    def add_environment(self, name: str, image: str) -> None:
        """An environment that can be had by its name, such as those that Azure provides."""
        with self._state.lock:
            environments.add(self._state, name, environments.image_content(image))

    def add_datastore_file(self, path: str, content: bytes) -> None:
        """A file of the default datastore."""
        with self._state.lock:
            blobs.store(self._state.datastore, path, content, blobs.md5(content))

    @property
    def jobs(self) -> list[SubmittedJob]:
        """In the order in which they were submitted."""
        with self._state.lock:
            return list(self._state.jobs)

    @property
    def sweeps(self) -> list[SubmittedJob]:
        """The same of sweeps."""
        with self._state.lock:
            return list(self._state.sweeps)

    @property
    def computes(self) -> list[Compute]:
        with self._state.lock:
            return [replace(compute) for compute in self._state.computes.values()]

    @property
    def datastore(self) -> dict[str, bytes]:
        """What is in the default datastore, by path."""
        with self._state.lock:
            return dict(self._state.datastore.artifacts)

    @property
    def models(self) -> list[RegisteredModel]:
        with self._state.lock:
            return list(self._state.models)

    @property
    def requests(self) -> list[Request]:
        """In the order in which they were answered, or lost."""
        with self._state.lock:
            return list(self._state.requests)

    @property
    def unknown(self) -> list[str]:
        """Each request that nobody here knows, as "METHOD path"."""
        with self._state.lock:
            return list(self._state.unknown)
