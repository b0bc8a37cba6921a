"""What is executed: a submitted job, whichever SDK has sent it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from submit.execution.inputs import Inputs
from submit.execution.outputs import Output
from submit.job import JobShape

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator


class Definition(Protocol):
    """The definition of a job; ``V1Definition`` and ``V2Definition`` read the request of their SDK."""

    @property
    def shape(self) -> JobShape: ...

    @property
    def is_distributed(self) -> bool:
        """Whether a launcher starts the job; otherwise it is one process without one."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that the request has."""

    @property
    def seconds(self) -> float | None:
        """After which the job is ended; None if it doesn't say."""

    def prepare_outputs(self, service: "AzureMLEmulator", run_id: str, root: Path) -> dict[str, Output]:
        """Creates a folder in ``root`` for each output, with the files that the datastore has there already."""

    def prepare_inputs(self, service: "AzureMLEmulator", root: Path, data: Path | None = None) -> Inputs:
        """Writes the inputs to folders in ``root``.

        Args:
            service: The emulator that has them.
            root: Where to.
            data: A folder of this machine that is used in place of the job's data; None for that of the emulator.

        Raises:
            SubmitError: The workspace doesn't have an input.
        """

    def with_outputs(self, inputs: Inputs, outputs: Mapping[str, Output]) -> Inputs:
        """The inputs, and the folders of the outputs, which the command and variables name."""

    def command(self, inputs: Inputs) -> Sequence[str]:
        """The command of each process, with the values of the inputs and outputs."""

    def environment(self, service: "AzureMLEmulator", run_id: str, home: Path) -> Mapping[str, str]:
        """The variables that Azure ML sets for each process."""
