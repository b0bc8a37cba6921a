"""The parser of the command line: Lightning's, whose help is on demand and whose errors are one line."""

import traceback
from argparse import SUPPRESS, HelpFormatter
from collections.abc import Sequence
from typing import Any, NoReturn

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from lightning_app.command_line import class_help
from lightning_app.command_line.flags import short_name
from lightning_app.command_line.given_values import given_values
from lightning_app.command_line.parse_errors import Hints, expected_words, parse_error_message
from lightning_app.errors import UsageError, shown

# what parsing raises, beside the parser's own errors, where a value is beyond what it or a library takes
_BAD_VALUE = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class ParserError(Exception):
    """The parser's message, and the types of the flags that it has."""

    def __init__(self, message: str, hints: Hints) -> None:
        super().__init__(message)
        self.hints = hints


class Parser(LightningArgumentParser):
    """Prints help on demand only, and raises its errors instead of printing the usage."""

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        text: str = super().format_help(formatter)
        if getattr(self, "_inner_parser", False):  # jsonargparse's parser for --model.help CLASS
            return class_help.class_page((self.description or "").removeprefix("Help for "), text)
        return class_help.trainer_page(text)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # an inner parser, for the settings of a class
            super().error(message, ex)
        raise ParserError(message, self.hints()) from ex

    def hints(self) -> Hints:
        """The type of each flag's value, without the flags that are there to be refused."""
        return {
            flag: getattr(action, "_typehint", None) or action.type
            for action in self._actions
            for flag in action.option_strings
            if action.help != SUPPRESS
        }


def parse(parser: LightningArgumentParser, command_parser: Parser, arguments: Sequence[str]) -> Namespace:
    """The settings of a command line.

    Raises:
        UsageError: A flag or its value can't be used.
    """
    try:
        settings: Namespace = parser.parse_args(list(arguments))
    except ParserError as error:
        raise UsageError(parse_error_message(str(error), error.hints, arguments)) from error
    except _BAD_VALUE as error:
        if _comes_from_an_import(error):
            raise
        raise UsageError(_blame(parser, command_parser.hints(), arguments)) from error
    return settings


def _comes_from_an_import(error: BaseException) -> bool:
    """Whether a module of the user's failed; its traceback says where."""
    frames = traceback.extract_tb(error.__traceback__)
    return any("importlib._bootstrap" in frame.filename for frame in frames)


def _blame(parser: LightningArgumentParser, hints: Hints, arguments: Sequence[str]) -> str:
    """The message about the first flag with which parsing fails."""
    for end in range(2, len(arguments) + 1):
        try:
            parser.parse_args(list(arguments[:end]))
        except (ParserError, SystemExit):
            continue
        except _BAD_VALUE:
            last: Any = list(given_values(arguments[:end]))[-1:]
            for flag, value in last:
                hint = hints.get(flag)
                expected = f": expected {expected_words(hint)}" if hint is not None else " can't be used"
                return f"{short_name(flag.removeprefix('--'))} {shown(value)}{expected}"
    return "these flags can't be used together; give fewer of them to find out which"
