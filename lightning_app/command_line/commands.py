"""Reads a command from the command line and runs it, with defaults for what isn't given."""

from collections.abc import Sequence

from lightning_app.command_line.checkpoint_settings import settings_of_checkpoint
from lightning_app.command_line.cli import OUTPUT_DIR, RunCLI, owners
from lightning_app.command_line.default_data import default_classes
from lightning_app.command_line.flags import expand
from lightning_app.command_line.given_settings import given_settings, split_at_command, text_of
from lightning_app.command_line.given_values import check_given_values
from lightning_app.command_line.help_page import command_help
from lightning_app.watchdog.watchdog import Watchdog


def run_command(arguments: Sequence[str], watchdog: Watchdog, program: type[RunCLI] = RunCLI) -> None:
    """Runs a command; its ``--config`` files may come before it, as with Lightning's own command line.

    Raises:
        UsageError: A flag or its value can't be used.
    """
    before, command, rest = split_at_command(arguments)
    if command is None:
        program(arguments, watchdog)
        return
    if "--help" in rest or "-h" in rest:
        print(command_help(command, owners()))
        return
    flags = expand(rest)
    check_given_values([*before, *flags])
    given = given_settings(command, before, flags)
    if command == "fit":
        program([*before, command, *flags], watchdog, defaults=default_classes(given))
    else:
        saved, checkpoint = settings_of_checkpoint(command, given, OUTPUT_DIR)
        names_folder = text_of(given, "trainer", "default_root_dir") is not None
        words = [*before, command, *flags]
        program(words, watchdog, checkpoint, defaults=saved, output_dir_is_given=names_folder)
