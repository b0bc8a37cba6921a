"""LightningCLI's parser with this project's help and errors in one line."""

from argparse import HelpFormatter
from typing import Any, ClassVar, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

from lightning_app import help_page
from lightning_app.errors import UsageError
from lightning_app.parse_errors import one_line


class Parser(LightningArgumentParser):
    """Shows the flags that people use first, and raises errors in one line instead of printing a page."""

    command: str | None = None  # None: the program as a whole
    defaults_shown: ClassVar[dict[str, Any]] = {}

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        if self.command is None:
            return help_page.overview()
        return help_page.page(self.command, self.defaults_shown, super().format_help(formatter))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser within the parser, for the settings of a class
            super().error(message, ex)
        known = [name for action in self._actions for name in action.option_strings]
        raise UsageError(one_line(message, known)) from ex
