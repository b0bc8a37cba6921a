"""What the ``--trainer`` flags and this project's own parts need of one another."""

from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from lightning_fabric.plugins import CheckpointIO, ClusterEnvironment
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from lightning_app.errors import UsageError, shown
from lightning_app.output.progress import in_terminal
from lightning_app.trainer.callbacks import NoProfiler


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def leaves_a_run_folder(settings: Namespace) -> bool:
    """Whether ``fit`` does. Lightning neither logs nor saves with ``fast_dev_run``, nor with ``barebones``."""
    return not settings.fast_dev_run and not settings.barebones


def shows_own_bar(settings: Namespace) -> bool:
    """Whether ``fit`` shows this project's bar: in a terminal or when asked to, unless the user chose another one."""
    wanted = in_terminal() if settings.enable_progress_bar is None else settings.enable_progress_bar
    return bool(wanted) and not _chosen_bars(settings)


def for_lightning(settings: Namespace, *, trains: bool) -> dict[str, Any]:
    """The arguments of the Trainer that differ from the flags.

    Args:
        settings: Those of the Trainer, with instances in place of class paths.
        trains: Whether the command is ``fit`` and leaves a run folder.
    """
    if settings.barebones:  # Lightning refuses whatever costs time
        return {}
    arguments: dict[str, Any] = {"profiler": settings.profiler or NoProfiler()}
    if not _chosen_bars(settings):
        arguments["enable_progress_bar"] = shows_own_bar(settings)  # of the other commands, it is Lightning's
    if trains or (settings.logger in (None, True) and not settings.fast_dev_run):
        arguments["logger"] = False  # RunFolderSetup adds the loggers
    return arguments


def plugins(settings: Namespace, processes: ClusterEnvironment, writing: CheckpointIO) -> list[Any]:
    """This project's plugins and those of the user, whose way of writing checkpoints goes before this project's.

    Raises:
        UsageError: A plugin would replace what this program is for.
    """
    chosen = as_list(settings.plugins)
    environments = [type(plugin).__name__ for plugin in chosen if isinstance(plugin, ClusterEnvironment)]
    if environments:
        raise UsageError(
            f"--trainer.plugins {environments[0]}: this program finds its processes itself, by the launcher's "
            "variables; leave it out"
        )
    writes = any(isinstance(plugin, CheckpointIO) for plugin in chosen)
    return [*chosen, processes] if writes else [*chosen, processes, writing]


def require_supported(trainer: pl.Trainer, settings: Namespace) -> None:
    """Raises UsageError for flags that have no effect here."""
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise UsageError(
            f"--trainer.strategy {shown(settings.strategy)}: spawned and forked processes aren't supported; give ddp"
        )
    if settings.model_registry is not None:
        given = shown(settings.model_registry)
        raise UsageError(f"--trainer.model_registry {given}: Lightning's registry isn't supported; leave it out")


def chosen_loggers(settings: Namespace) -> list[Logger]:
    """The loggers that the user chose, which RunFolderSetup adds."""
    return [logger for logger in as_list(settings.logger) if isinstance(logger, Logger)]


def _chosen_bars(settings: Namespace) -> list[ProgressBar]:
    return [callback for callback in as_list(settings.callbacks) if isinstance(callback, ProgressBar)]
