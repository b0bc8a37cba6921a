"""What ``logger.experiment`` is: azureml-core's run, which is imported when something of it is used."""

from typing import Any, Protocol


class HasRun(Protocol):
    """The logger."""

    @property
    def run(self) -> Any: ...


class RunWhenUsed:
    """Has all attributes of a logger's run, which is created when the first of them is read.

    The Trainer reads ``logger.experiment`` before training, whether anybody uses it or not, and the import of
    azureml-core takes a second.
    """

    def __init__(self, logger: HasRun) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by copy, pickle and inspect
            raise AttributeError(name)
        return getattr(self._logger.run, name)

    def __repr__(self) -> str:
        return "<the run of azureml-core, imported when it is used>"
