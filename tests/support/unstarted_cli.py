"""The command line without what it would start."""

from lightning_app.command_line.cli import RunCLI
from lightning_app.watchdog.watchdog import Watchdog


class UnstartedCLI(RunCLI):
    """Parses, checks and creates the objects, and starts nothing."""

    def _run_subcommand(self, subcommand: str) -> None: ...


class UnstartedWatchdog(Watchdog):
    """A watchdog without its agent, which would end this process when the other processes don't come."""

    def start(self, *_: object, **__: object) -> None: ...
