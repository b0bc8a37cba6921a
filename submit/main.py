"""``python -m submit``: from the command line to a command that runs."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from lightning_app.errors import too_long_name
from submit.commands import ABOUT
from submit.errors import PreflightError, SubmitError

EXIT_STATUS = 2  # a usage error, as in argparse


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; errors of the user are one line on standard error."""
    logging.disable(logging.CRITICAL)  # azureml-core logs its defaults, and each failure in forty lines
    try:
        command, options, training = parse_command(list(sys.argv[1:] if arguments is None else arguments))
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
    except OSError as error:
        message = too_long_name(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return EXIT_STATUS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SubmitError(message)


def parse_command(arguments: Sequence[str]) -> tuple[ModuleType, argparse.Namespace, list[str]]:
    """The module of the command, its options, and the flags of the training.

    Raises:
        SubmitError: There is no such command, or a flag has an invalid value.
    """
    overview = _overview()
    if not arguments or arguments[0] in ("-h", "--help"):
        overview.print_help()
        raise SystemExit(0 if arguments else 2)
    name, *words = arguments
    if name not in ABOUT:
        raise SubmitError(f"{name}: no such command; expected one of {', '.join(ABOUT)}")
    module = import_module(f"submit.commands.{name}")
    end = words.index("--") if "--" in words else len(words)
    options, unknown = _parser(name, module).parse_known_args(words[:end])
    options.arguments = words
    training = [*unknown, *words[end + 1 :]]
    if training and not module.TAKES_TRAINING_FLAGS:
        raise SubmitError(f"{training[0]}: {name} has no such flag; see python -m submit {name} --help")
    return module, options, training


def _parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    parser = _Parser(
        f"python -m submit {name}",
        description=f"{ABOUT[name][0].upper()}{ABOUT[name][1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def _overview() -> argparse.ArgumentParser:
    return _Parser(
        "python -m submit",
        usage="python -m submit COMMAND [--FLAG VALUE ...]",
        description="Trains on Azure ML with the command that trains here.\n\n"
        + "\n".join(f"  {name:<12}{about}" for name, about in ABOUT.items()),
        epilog="python -m submit COMMAND --help explains the flags of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
