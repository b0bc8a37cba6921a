"""The command line without what it would start."""

from lightning_app.command_line.cli import RunCLI


class UnstartedCLI(RunCLI):
    """Parses, checks and creates the objects, and starts nothing."""

    def _run_subcommand(self, subcommand: str) -> None: ...
