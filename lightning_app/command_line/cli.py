"""The command line: Lightning's, with this project's defaults, callbacks, loggers and error messages."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger

from lightning_app import evaluation, training
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.checkpointing.checkpoint_dir import given_checkpoint_dir
from lightning_app.checkpointing.checkpoint_files import require_same_weights
from lightning_app.checkpointing.checkpoint_io import AtomicCheckpointIO, RunCheckpointIO
from lightning_app.checkpointing.checkpoints import keep_apart
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.run_lock import RunLock
from lightning_app.checkpointing.warm_start import WarmStart, require_some_fit
from lightning_app.command_line import arguments, chosen_optimizer, saved_settings
from lightning_app.command_line.bounds import check_bounds
from lightning_app.command_line.construction_errors import named_class_errors, trainer_error_message
from lightning_app.command_line.defaults import NOT_SET_HERE, OUTPUT_DIR, SEED, TRAINER_DEFAULTS, take_unset
from lightning_app.command_line.flags import COMMANDS
from lightning_app.command_line.matching import require_given_classes, require_image_size, require_same_classes
from lightning_app.command_line.parser import Parser, parse
from lightning_app.command_line.standard_callbacks import with_standard
from lightning_app.console import expect_rows_in_each_epoch, print_line
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.environment import AzureMLEnvironment
from lightning_app.distributed.strategy import check_sync_batchnorm, ddp_defaults
from lightning_app.errors import UsageError
from lightning_app.output.loggers import check_azureml, create_loggers, deliver_rest
from lightning_app.output.predictions import predictions_file, require_writable
from lightning_app.output.progress import EpochBar
from lightning_app.preemption.watcher import preemption_watcher
from lightning_app.run_folder import RunFolder, given_folder
from lightning_app.trainer import lightning_callbacks, trainer_settings
from lightning_app.trainer.callbacks import LogIntervalWithinEpoch, WatchdogProgress
from lightning_app.trainer.finders import RecordFound
from lightning_app.trainer.freed_memory import freed_memory_kept
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_loop import StepLoop
from lightning_app.trainer.stopping import stop_after_signals
from lightning_app.trainer.threads import limited_threads
from lightning_app.trainer.trainer_settings import as_list
from lightning_app.training import RunFolderSetup
from lightning_app.watchdog import supervision
from lightning_app.watchdog.watchdog import Watchdog

log = logging.getLogger(__name__)

_SECONDS_TO_WRITE = 10.0


class RunCLI(LightningCLI):
    """The commands ``fit``, ``validate``, ``test`` and ``predict``; creating an instance runs one of them.

    Args:
        words: The command and its flags, with their full names.
        watchdog: Ends all processes when one of them fails.
        checkpoint: What ``validate``, ``test`` and ``predict`` load. ``fit`` finds its own by ``--resume``.
        defaults: What takes the place of settings that aren't given, such as the section ``data``.
        given: The settings that the user has given, see ``given_settings``.
        output_dir_is_given: Whether the user has named the run folder.

    Raises:
        UsageError: A flag or its value can't be used.
    """

    def __init__(
        self,
        words: Sequence[str],
        watchdog: Watchdog,
        checkpoint: Path | None = None,
        defaults: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        output_dir_is_given: bool = False,
    ) -> None:
        self.watchdog = watchdog
        self.checkpoint = checkpoint
        self.defaults, self.given = dict(defaults or {}), dict(given or {})
        self.output_dir_is_given = output_dir_is_given
        self.plan = ResumePlan()
        self.lock: RunLock | None = None
        with ExitStack() as self.ends:  # another training may follow in the same process, also after an error
            self.ends.enter_context(freed_memory_kept())
            super().__init__(
                args=list(words),
                trainer_class=RunTrainer,
                parser_class=Parser,
                parser_kwargs={"prog": "python -m lightning_app", "allow_abbrev": False},
                trainer_defaults=TRAINER_DEFAULTS,
                seed_everything_default=SEED,
                save_config_callback=None,  # RunFolderSetup writes config.yaml, after the data has been checked
                auto_configure_optimizers=False,
            )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The commands and, for each, the parameters of the Trainer's method that are no flags."""
        commands = LightningCLI.subcommands()
        for name, parameters in NOT_SET_HERE.items():
            commands[name] |= {*parameters, "verbose", "return_predictions"}
        return commands

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults(self.defaults)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        arguments.add_own(parser, subcommand)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        # Lightning's own method warns about arguments that aren't those of sys.argv; these have full names instead
        assert isinstance(args, list)
        command_parser = self._subcommand_parsers[next((word for word in args if word in COMMANDS), "fit")]
        assert isinstance(command_parser, Parser)
        self.config = parse(parser, command_parser, args)
        check_bounds(self.config[self.config["subcommand"]].as_dict())

    def _parse_ckpt_path(self) -> None:
        """Does nothing: main reads the settings from the checkpoint before parsing, those of the data included."""

    @property
    def settings(self) -> Namespace:
        """The parsed settings of the command."""
        settings: Namespace = self.config[self.subcommand]
        return settings

    @property
    def folder(self) -> RunFolder:
        return given_folder(self.settings.trainer.default_root_dir or OUTPUT_DIR)

    def before_instantiate_classes(self) -> None:
        self.check_settings()
        if self.subcommand == "predict":
            self._predictions_file()  # before work starts
        if not self._trains():
            return
        self.folder.check_writable()
        self.lock = RunLock(self.folder)
        self.ends.callback(self.lock.release)
        if detect_launch().rank == 0:
            self.lock.acquire()
        config = yaml.safe_load(self._settings_as_yaml())
        self.checkpoint_dir = given_checkpoint_dir(self.settings.checkpoint_dir, self.folder)
        self.plan = plan_resume(self.folder, self.settings.resume, config, self.checkpoint_dir, self.lock)
        # with more than one process, the others wait for this one: training.train returns in all of them
        if self.plan.tested and detect_launch().world_size == 1:
            log.info("%s", training.finished_message(self.folder, self.plan))
            deliver_rest(self.folder, self.settings.azureml.as_dict())
            raise SystemExit(0)

    def check_settings(self) -> None:
        """Checks what needs neither the run folder nor any of the classes.

        Raises:
            UsageError: A flag can't be used.
        """
        saved_settings.make_plain(self.settings)
        take_unset(str(self.subcommand), self.settings)
        if self._trains():
            check_azureml(self.settings.azureml.as_dict())
        if self.subcommand == "fit":
            chosen_optimizer.check(self.settings, self.given)
        if self._init_from is not None and self.settings.resume not in ("auto", "never"):
            raise UsageError(
                f"--init_from {str(self._init_from)!r} and --resume {self.settings.resume!r}: give one of them; "
                "--init_from begins a run with weights, --resume continues one"
            )

    @property
    def _init_from(self) -> Path | None:
        """The file with whose weights a new run begins."""
        given = self.settings.init_from if self.subcommand == "fit" else None
        return Path(given) if given else None

    def instantiate_classes(self) -> None:
        with named_class_errors(self.settings.as_dict()):
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        if self.subcommand == "fit" and self.settings.optimizer:
            chosen, epochs = self.settings.optimizer, self.settings.trainer.max_epochs
            chosen_optimizer.use(self.model, chosen, self.settings.lr_scheduler, epochs)
        settings = self._get(self.config_init, "trainer")
        processes = AzureMLEnvironment()
        kwargs |= trainer_settings.for_lightning(settings, trains=self._trains()) | {
            "plugins": trainer_settings.plugins(settings, processes, self._checkpoint_io()),
            "callbacks": self._callbacks(settings),
        }
        if settings.log_every_n_steps is None and not settings.barebones:  # None is Lightning's own default
            kwargs["log_every_n_steps"] = self._models_log_interval
        if settings.log_every_n_steps is None or self._models_log_interval:
            expect_rows_in_each_epoch()
        try:
            with ddp_defaults(self.model):
                trainer: pl.Trainer = super().instantiate_trainer(**kwargs)
        except UsageError:
            raise
        except Exception as error:  # Lightning refuses settings by errors of many kinds
            defaults = self._parser(self.subcommand).get_defaults().trainer.as_dict()
            raise UsageError(trainer_error_message(error, settings.as_dict(), defaults)) from error
        trainer_settings.require_supported(trainer, settings)
        # here as well as in Lightning, whose strategy for one device doesn't ask
        processes.require_match(trainer.num_nodes, trainer.num_devices)
        if settings.sync_batchnorm:
            check_sync_batchnorm(self.model, trainer)
        if self._trains():
            steps = self.settings.steps_per_execution
            StepLoop.install(trainer, None if steps == "auto" else steps)
        self._watch(trainer)
        return trainer

    def _checkpoint_io(self) -> AtomicCheckpointIO:
        if not self._trains():
            return AtomicCheckpointIO()
        writing = RunCheckpointIO(self.folder, self.settings.checkpoint_keep, self.checkpoint_dir)
        # when another process has failed, the watchdog ends this one, also while a checkpoint is being written
        self.watchdog.before_end.append(partial(writing.finish_writing, _SECONDS_TO_WRITE))
        return writing

    def _trains(self) -> bool:
        """Whether the command is ``fit`` and leaves a run folder."""
        return self.subcommand == "fit" and trainer_settings.leaves_a_run_folder(self.settings.trainer)

    @property
    def _models_log_interval(self) -> int | None:
        """The interval of this project's models, which log at the end of each epoch as well."""
        return getattr(self.model, "default_log_interval", None)

    def _callbacks(self, settings: Namespace) -> list[pl.Callback]:
        callbacks = as_list(settings.callbacks)
        keep_apart(callbacks, self.folder)
        lightning_callbacks.prepare(callbacks, self.model)
        show_bar = self._trains() and trainer_settings.shows_own_bar(settings)
        if self._trains():
            assert self.lock is not None
            setup = RunFolderSetup(
                *(self.folder, self.checkpoint_dir, self.lock, self.plan, self._write_config, self._create_loggers)
            )
            found = RecordFound(self.settings, self._write_config)
            logs_itself = self._models_log_interval is not None
            callbacks = with_standard(callbacks, self.settings, self.folder, setup, found, logs_itself=logs_itself)
        if not settings.barebones and settings.log_every_n_steps is None and self._models_log_interval is None:
            callbacks.append(LogIntervalWithinEpoch())
        if self._init_from is not None:
            callbacks.insert(0, WarmStart(self._init_from))
        return [*callbacks, EpochBar()] if show_bar else callbacks

    def _watch(self, trainer: pl.Trainer) -> None:
        supervision.start_before_lightning(self.watchdog, trainer.num_nodes * trainer.num_devices)
        if self.watchdog.progress is not None:
            progress = WatchdogProgress(self.watchdog, self.folder.root, self.settings.stall_timeout)
            trainer.callbacks.insert(0, progress)  # type: ignore[attr-defined]  # set by a connector of Lightning
        self.watchdog.stall_timeout = self.settings.stall_timeout
        if self._trains() and detect_launch().local_rank == 0:
            watcher = preemption_watcher(self.watchdog, self.settings.on_preemption, print_line)
            self.ends.enter_context(watcher)
        saves = self.settings.trainer.enable_checkpointing is not False
        stop_after_signals(trainer, self.watchdog, self.folder if self._trains() else None, saves=saves)

    def fit(self, model: pl.LightningModule, datamodule: pl.LightningDataModule | None = None) -> None:
        require_image_size(model, datamodule)
        arguments = self.settings.model.get("init_args") or {}  # a class without any has no such section
        require_given_classes(arguments.get("classes"), model, datamodule)
        if self.plan.checkpoint is not None:
            require_same_classes(datamodule, self.plan.checkpoint)
            require_same_weights(model, self.plan.checkpoint)
        elif self._init_from is not None and detect_launch().rank == 0:
            require_some_fit(model, self._init_from)
        with limited_threads(model, datamodule):
            training.train(self.trainer, model, datamodule, self.folder, self.plan)
        if self.plan.tested:
            deliver_rest(self.folder, self.settings.azureml.as_dict())

    def validate(self, **_: Any) -> None:
        evaluation.evaluate(self.trainer, "validate", self.model, self.datamodule, self._require_checkpoint())

    def test(self, **_: Any) -> None:
        evaluation.evaluate(self.trainer, "test", self.model, self.datamodule, self._require_checkpoint())

    def predict(self, **_: Any) -> None:
        checkpoint = self._require_checkpoint()
        file, top_k = self._predictions_file(), self.settings.top_k
        evaluation.predict(self.trainer, self.model, self.datamodule, checkpoint, file, top_k)

    def _predictions_file(self) -> Path:
        given = {
            "folder_is_given": self.output_dir_is_given,
            "checkpoint_is_given": self.settings.ckpt_path is not None,
        }
        csv = self.settings.csv
        file = Path(csv) if csv else predictions_file(self._require_checkpoint(), self.folder, **given)
        require_writable(file, "--csv" if csv else "--output_dir")
        return file

    def _require_checkpoint(self) -> Path:
        assert self.checkpoint is not None
        return self.checkpoint

    def _create_loggers(self, trainer: pl.Trainer) -> Sequence[Logger]:
        chosen = trainer_settings.chosen_loggers(self._get(self.config_init, "trainer"))
        loggers = [*chosen, *create_loggers(trainer, self.folder, self.plan, self.settings.as_dict())]
        # when the watchdog ends the process, the handlers don't run that close the logger at the interpreter's exit
        self.watchdog.before_end += [logger.close for logger in loggers if isinstance(logger, AzureMLRunLogger)]
        return loggers

    def _write_config(self) -> None:
        unfinished = self.folder.config.with_suffix(".tmp")
        unfinished.write_text(self._settings_as_yaml())
        unfinished.replace(self.folder.config)

    def _settings_as_yaml(self) -> str:
        return saved_settings.as_yaml(self._parser(self.subcommand), self.settings)
