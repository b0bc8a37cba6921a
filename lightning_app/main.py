"""From the command line to a command that runs."""

import sys
from collections.abc import Sequence

from lightning_app import screen
from lightning_app.distributed.launch import read_launch
from lightning_app.errors import UsageError
from lightning_app.told import fail, told


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; what the user can mend is one line on standard error and exit status 2."""
    try:
        screen.set_up(read_launch().rank)
        _run(list(sys.argv[1:] if arguments is None else arguments))
    except Exception as error:
        line = told(error)
        if line is None:
            raise
        fail(line)


def _run(arguments: list[str]) -> None:
    # imported here: --help of the commands needs it, a wrong command name doesn't
    from lightning_app.choices import checkpoint_arguments, natural_data
    from lightning_app.cli import OUTPUT_DIR, RunCLI
    from lightning_app.flags import COMMANDS, expand

    if not arguments:
        raise UsageError(f"no command given; expected one of {', '.join(COMMANDS)}, or --help")
    if arguments[0] not in COMMANDS:
        RunCLI(arguments)
        return
    command, rest = arguments[0], expand(arguments[1:])
    if "--help" in rest or "-h" in rest or command == "fit":
        RunCLI([command, *natural_data(rest), *rest])
    else:
        chosen, checkpoint = checkpoint_arguments(command, rest, OUTPUT_DIR)
        RunCLI([command, *chosen, *rest], checkpoint)
