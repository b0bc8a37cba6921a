"""The program: reads a command from the command line and runs it under the watchdog."""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from lightning_app.azureml import job, run_files
from lightning_app.command_line import help_page
from lightning_app.command_line.class_help import requested_help
from lightning_app.command_line.flags import COMMANDS, OTHER_COMMANDS, last_value, suggestion
from lightning_app.command_line.import_path import append_current_folder, check_own_packages
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import Launch
from lightning_app.distributed.launcher_process import launcher_process, print_without_launcher
from lightning_app.errors import UsageError, one_line, shown
from lightning_app.trainer.signals import SignalHandling
from lightning_app.watchdog import supervision
from lightning_app.watchdog.watchdog import Watchdog


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; an error that the user can fix is one line on standard error and exit status 2.

    Args:
        arguments: The command and its flags; those of the process where none are given.
    """
    watchdog, words = Watchdog(), list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in OTHER_COMMANDS:  # each loads what other commands load later or never
            import_module(f"lightning_app.{OTHER_COMMANDS[words[0]]}.command").main(words[1:])
            return
        if help_page.asks_for_overview(words):
            print(help_page.overview())
            return
        append_current_folder()
        launch = detect_launch()
        launcher = launcher_process(launch)
        if launcher is not None:
            print_without_launcher()
        with SignalHandling(watchdog, launcher):
            # before torch and Lightning are loaded: that takes seconds, in which a process can fail as well
            supervision.start(watchdog, launch, dict(os.environ))
            supervision.run_supervised(watchdog, lambda: _run(words, launch, watchdog), _user_error_message)
    except Exception as error:
        line = _user_error_message(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _user_error_message(error: BaseException) -> str | None:
    if isinstance(error, UsageError):
        return one_line(error)
    from lightning_app.command_line.error_messages import (
        user_error_message,  # loads torch and Lightning, whose errors it recognises
    )

    return user_error_message(error)


def _run(words: list[str], launch: Launch, watchdog: Watchdog) -> None:
    _check_command(words)
    check_own_packages()
    if launch.rank == 0 and _may_continue_from_azure_ml(words):
        run_files.start_early()
    with _uncollected():  # imported here: they load torch and Lightning
        from lightning_app import console
        from lightning_app.command_line.commands import run_command, show_class_help
        from lightning_app.distributed.sync import disconnect

    console.set_up_console(launch.rank)
    if request := requested_help(words):
        show_class_help(request, watchdog)
        return
    run_command(words, watchdog)
    disconnect()  # a process that doesn't come to this line ends without the interpreter's shutdown


def _may_continue_from_azure_ml(words: Sequence[str]) -> bool:
    """Whether this is a training in a job whose disk has no checkpoint; asking what Azure ML keeps takes a second."""
    folder = last_value(words, "--output_dir", "--trainer.default_root_dir") or "outputs"
    is_new = not any((Path(folder) / "checkpoints").glob("*.ckpt"))
    return "fit" in words and job.run_id() is not None and is_new and last_value(words, "--resume") != "never"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's garbage collector leaves the modules that are imported in this block alone, until the program ends.

    It would go through all their objects many times while torch and Lightning are imported, and again at the end: 0.8
    of 2.9 seconds, and 1.0 of 1.2. In a program that has torch already, nothing changes.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _check_command(words: Sequence[str]) -> None:
    """Checks the command before seconds pass for loading torch."""
    if set(words) & set(COMMANDS) or requested_help(words):
        return
    known = (*COMMANDS, *OTHER_COMMANDS)
    expected = f"expected one of {', '.join(known)}"
    if not words or words[0].startswith("-"):
        raise UsageError(f"no command given; {expected}, or --help")
    raise UsageError(f"{shown(words[0])}: no such command; {expected}{suggestion(words[0], known)}")
