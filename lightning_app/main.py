"""The program: reads a command from the command line and runs it under the watchdog."""

import os
import sys
from collections.abc import Sequence

from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import Launch
from lightning_app.errors import LaunchError, UsageError
from lightning_app.watchdog import supervision
from lightning_app.watchdog.watchdog import Watchdog


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; an error that the user can fix is one line on standard error and exit status 2.

    Args:
        arguments: The command and its flags; those of the process where none are given.
    """
    watchdog, words = Watchdog(), list(sys.argv[1:] if arguments is None else arguments)
    try:
        launch = detect_launch()
        # before torch and Lightning are loaded: that takes seconds, in which a process can fail as well
        supervision.start(watchdog, launch, dict(os.environ))
        supervision.run_supervised(watchdog, lambda: _run(words, launch, watchdog), _user_error_message)
    except Exception as error:
        line = str(error) if isinstance(error, LaunchError) else _user_error_message(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _user_error_message(error: BaseException) -> str | None:
    from lightning_app.error_messages import user_error_message  # loads torch and Lightning, whose errors it recognises

    return user_error_message(error)


def _run(arguments: list[str], launch: Launch, watchdog: Watchdog) -> None:
    # imported here: they load torch and Lightning
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
    command, flags = arguments[0], expand(arguments[1:])
    if "--help" in flags or "-h" in flags or command == "fit":
        RunCLI([command, *default_data(flags), *flags], watchdog)
    else:
        saved_settings, checkpoint = arguments_from_checkpoint(command, flags, OUTPUT_DIR)
        RunCLI([command, *saved_settings, *flags], watchdog, checkpoint)
