"""Jobs whose metrics go by MLflow: at the emulator, as a job that was sent with SDK v2."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightning_app.azureml.delivery import Uploader
from lightning_app.azureml.destination import CHOICE
from lightning_app.azureml.journal import Journal
from lightning_app.azureml.mlflow.rest import Rest
from lightning_app.azureml.mlflow.run import MlflowRun
from lightning_app.azureml.mlflow.tracking import parse_tracking
from lightning_app.azureml.service import DeliveryError
from lightning_app.run_folder import RunFolder
from tests.support.commands import environment
from tests.support.jobs import Job


@dataclass(frozen=True)
class MlflowJob(Job):
    """As ``Job``; azureml-core is installed here, so a variable says that the metrics go by MLflow."""

    def environment(self, **further: str) -> dict[str, str]:
        caches = {"MPLCONFIGDIR": str(Path.home() / ".cache" / "matplotlib")}
        variables = self.service.v2_job_environment(self.run_id, self.folder / "home")
        return environment() | caches | variables | {CHOICE: "mlflow"} | further


@dataclass
class Delivery:
    """A run folder and its delivery, in this process."""

    tracking_uri: str
    folder: RunFolder
    run_id: str | None
    messages: list[str] = field(default_factory=list)

    def log(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """By step."""
        journal = Journal(self.folder, self.run_id)
        for step, metrics in rows.items():
            journal.append(step, None, metrics)

    def uploader(self) -> Uploader:
        tracking = parse_tracking(self.tracking_uri)
        assert tracking is not None
        service = MlflowRun(Rest(tracking), self.run_id, self.folder)
        return Uploader(self.folder, service, ("val_*",), self.messages.append)

    def deliver(self, at_most: int = 60) -> None:
        """As the sender does, which begins anew after each failure of the first request."""
        uploader = None
        for _ in range(at_most):
            try:
                uploader = uploader or self.uploader()
                uploader.deliver(final=True)
                return
            except DeliveryError as error:
                last = error
        raise last
