"""From the command line to a command that runs."""

import os
import sys
from collections.abc import Sequence

from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import Launch
from lightning_app.errors import LaunchError, UsageError
from lightning_app.watchdog import supervision
from lightning_app.watchdog.watchdog import Watchdog


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; what the user can mend is one line on standard error and exit status 2."""
    watchdog, given = Watchdog(), list(sys.argv[1:] if arguments is None else arguments)
    try:
        launch = detect_launch()
        # before torch and Lightning are loaded, which takes seconds in which a process can fail as well
        supervision.start(watchdog, launch, dict(os.environ))
        supervision.run_supervised(watchdog, lambda: _run(given, launch, watchdog), _told)
    except Exception as error:
        line = str(error) if isinstance(error, LaunchError) else _told(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _told(error: BaseException) -> str | None:
    from lightning_app.error_messages import (
        user_error_message,  # knows the errors of torch and Lightning, and so loads them
    )

    return user_error_message(error)


def _run(arguments: list[str], launch: Launch, watchdog: Watchdog) -> None:
    # imported here: --help of the commands needs it, a wrong command name doesn't
    from lightning_app import console
    from lightning_app.cli import OUTPUT_DIR, RunCLI
    from lightning_app.default_data import arguments_from_checkpoint, default_data
    from lightning_app.flags import COMMANDS, expand

    console.set_up_console(launch.rank)
    if not arguments:
        raise UsageError(f"no command given; expected one of {', '.join(COMMANDS)}, or --help")
    if arguments[0] not in COMMANDS:
        RunCLI(arguments, watchdog)
        return
    command, rest = arguments[0], expand(arguments[1:])
    if "--help" in rest or "-h" in rest or command == "fit":
        RunCLI([command, *default_data(rest), *rest], watchdog)
    else:
        chosen, checkpoint = arguments_from_checkpoint(command, rest, OUTPUT_DIR)
        RunCLI([command, *chosen, *rest], watchdog, checkpoint)
