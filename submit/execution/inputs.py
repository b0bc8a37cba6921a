"""The inputs of a job that runs here: what of the emulator it reads, as folders and files of this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from submit.execution.mount import Mount


@dataclass(frozen=True)
class Inputs:
    """What stands for the placeholders in a job's command, and the variables that name inputs and outputs.

    Attributes:
        values: By the input's name: the path of a folder or file, or another value.
        variables: Of the job's processes.
        mounts: What the processes see at another path, and can't change.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()

    def with_values(self, values: Mapping[str, str], variables: Mapping[str, str]) -> "Inputs":
        return replace(self, values={**self.values, **values}, variables={**self.variables, **variables})

    @property
    def prefix(self) -> list[str]:
        """Before a command that is to see the mounts."""
        return [word for mount in self.mounts for word in mount.prefix]

    @property
    def are_read_only(self) -> bool:
        """Whether no process can change what is mounted."""
        return all(mount.is_read_only for mount in self.mounts)
