"""Reads a command from the command line and runs it, with defaults for what isn't given, or shows its help."""

from collections.abc import Sequence

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.checkpointing.kept_checkpoints import DEFAULT_KEEP
from lightning_app.checkpointing.save_interval import DEFAULT_INTERVAL
from lightning_app.command_line import class_help
from lightning_app.command_line.checkpoint_settings import settings_of_checkpoint
from lightning_app.command_line.cli import RunCLI
from lightning_app.command_line.default_data import default_classes
from lightning_app.command_line.defaults import OUTPUT_DIR, SEED, TRAINER_DEFAULTS
from lightning_app.command_line.flags import expand
from lightning_app.command_line.given_settings import given_settings, split_at_command, text_of
from lightning_app.command_line.given_values import check_given_values
from lightning_app.command_line.help_page import Owners, command_help
from lightning_app.command_line.recipes import with_recipe
from lightning_app.errors import UsageError
from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.watchdog import Watchdog
from models import CifarNet, CifarResNet, ResNetTransfer


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
    flags = expand(with_recipe(rest) if command == "fit" else rest)
    check_given_values([*before, *flags])
    given = given_settings(command, before, flags)
    if command == "fit":
        program([*before, command, *flags], watchdog, defaults=default_classes(given), given=given)
    else:
        saved, checkpoint = settings_of_checkpoint(command, given, OUTPUT_DIR)
        names_folder = text_of(given, "trainer", "default_root_dir") is not None
        words = [*before, command, *flags]
        program(words, watchdog, checkpoint, defaults=saved, output_dir_is_given=names_folder)


def show_class_help(request: Sequence[str], watchdog: Watchdog) -> None:
    """Prints what ``class_help.requested_help`` has found in the command line."""
    command, flag, *classes = request
    if flag == class_help.TRAINER_HELP:
        RunCLI([command, "--help"], watchdog)
    elif not classes and (page := class_help.listed_classes(flag)):
        print(page)
    else:
        try:
            RunCLI(request, watchdog)
        except UsageError as error:
            raise UsageError(class_help.error_message(request, str(error.__cause__ or error))) from error


def owners() -> Owners:
    """What the help of a command lists, see ``help_page``."""
    saving = {"checkpoint_every": DEFAULT_INTERVAL, "checkpoint_keep": DEFAULT_KEEP}
    defaults = {"seed_everything": SEED, "stall_timeout": Timeouts.stall} | saving | TRAINER_DEFAULTS
    return Owners(
        (CifarNet, CifarResNet, ResNetTransfer), (CIFAR10DataModule, ImageFolderDataModule), AzureMLRunLogger, defaults
    )
