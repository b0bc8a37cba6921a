"""Jobs of the emulator, with a folder that stands for a node's disk."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.azureml.journal import read_journal
from submit.emulator import AzureMLEmulator, MetricRow
from tests.support.commands import Outcome, environment


@dataclass(frozen=True)
class Job:
    """A run of the service, in the test's own folder, which stands for the disk of a node."""

    service: AzureMLEmulator
    run_id: str
    folder: Path

    def environment(self, **further: str) -> dict[str, str]:
        home = self.folder / "home"
        # matplotlib and torch look for their caches in the home, which is a new one for each job
        caches = {"MPLCONFIGDIR": str(Path.home() / ".cache" / "matplotlib")}
        return environment() | caches | self.service.job_environment(self.run_id, home) | further

    def start(self, *command: str, **further: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment(**further),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **further: str) -> Outcome:
        """Runs Python with these arguments as the job's command."""
        process = self.start(*command, **further)
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def rows(self) -> dict[str, list[MetricRow]]:
        """What the service holds, by metric name."""
        return self.service.run(self.run_id).metrics

    def scalars(self) -> dict[str, list[tuple[int | None, float]]]:
        """Step and value of each scalar that the service holds, in the order in which they arrived."""
        return {
            name: [(row.step, row.data[name]) for row in rows]
            for name, rows in self.rows().items()
            if rows[0].kind == "azureml.v1.scalar"
        }


def logged_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run folder's journal, without their times."""
    return [
        {name: value for name, value in row.items() if name != "time"} for row in read_journal(folder / "metrics.jsonl")
    ]


def journal_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each finite number in a run folder's journal."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in read_journal(folder / "metrics.jsonl"):
        for name, value in row["metrics"].items():
            if not isinstance(value, str):
                found.setdefault(name, []).append((row["step"], value))
    return found
