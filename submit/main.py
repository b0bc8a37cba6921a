"""From the command line to a command that runs."""

import logging
import signal
import sys
from collections.abc import Sequence

from submit.command_line import parse
from submit.errors import PreflightError, SubmitError

EXIT_STATUS = 2  # as of every command line that was used wrongly


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; what the user can mend is one line on standard error."""
    logging.disable(logging.CRITICAL)  # azureml-core tells of its own defaults, and of each failure in forty lines
    try:
        command, options, training = parse(list(sys.argv[1:] if arguments is None else arguments))
        status: int = command.run(options, training)
        return status
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    except PreflightError as error:
        for reason in error.reasons:
            print(f"error: {reason}", file=sys.stderr)
        return EXIT_STATUS
    except SubmitError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_STATUS
