"""LightningCLI with this project's defaults, run folder and help."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from jsonargparse import Namespace
from jsonargparse.typing import PositiveFloat
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger

from lightning_app import evaluation, training
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.checkpoints import AtomicCheckpointIO, RunCheckpoints
from lightning_app.choices import DEFAULT_MODEL
from lightning_app.distributed.environment import AzureMLEnvironment
from lightning_app.distributed.strategy import check_sync_batchnorm, ddp_defaults
from lightning_app.errors import UsageError
from lightning_app.loggers import check_azureml, run_loggers
from lightning_app.no_profiler import NoProfiler
from lightning_app.parser import Parser
from lightning_app.progress import EpochBar, in_terminal
from lightning_app.resume import Plan, plan
from lightning_app.run_folder import RunFolder
from lightning_app.run_start import RunStart
from lightning_app.throughput import Throughput
from lightning_app.watchdog import supervision
from lightning_app.watchdog.callback import WatchdogProgress
from lightning_app.watchdog.limits import Limits
from lightning_app.watchdog.watchdog import Watchdog

log = logging.getLogger(__name__)

OUTPUT_DIR = "outputs"
SEED = 0
_STALL_HELP = "Seconds for which one process may keep the others waiting, other than by reading or saving data"
_TRAINER_DEFAULTS = {
    "max_epochs": 2,  # as in the tutorials
    "log_every_n_steps": 2000,  # as in the tutorials
    "default_root_dir": OUTPUT_DIR,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,  # the data is checked when it is read
}


class RunCLI(LightningCLI):
    """The commands fit, validate, test and predict.

    ``watchdog`` ends all processes when one fails. ``checkpoint`` is what validate, test and predict measure; fit finds
    its own by ``--resume``.
    """

    def __init__(self, arguments: Sequence[str], watchdog: Watchdog, checkpoint: Path | None = None) -> None:
        self.watchdog = watchdog
        self.checkpoint = checkpoint
        self.plan = Plan()
        self.throughput = Throughput()
        Parser.defaults_shown = {"seed_everything": SEED} | _TRAINER_DEFAULTS
        super().__init__(
            args=list(arguments),
            parser_class=Parser,
            parser_kwargs={"prog": "python -m lightning_app", "allow_abbrev": False},
            trainer_defaults=_TRAINER_DEFAULTS,
            seed_everything_default=SEED,
            save_config_callback=None,  # RunStart writes config.yaml, when everything was found in order
            auto_configure_optimizers=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        commands = LightningCLI.subcommands()
        commands["fit"] |= {"ckpt_path", "weights_only"}  # --resume is the one name for it
        for name in ("validate", "test", "predict"):
            commands[name] |= {"weights_only", "verbose", "return_predictions"}
        return commands

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"model": {"class_path": DEFAULT_MODEL}})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        assert isinstance(parser, Parser)
        parser.command = subcommand
        parser.add_argument("--stall_timeout", type=PositiveFloat, default=Limits.stall, help=_STALL_HELP)
        if subcommand == "fit":
            parser.add_argument("--resume", type=str, default="auto", help="auto, never, a checkpoint or a run folder")
            parser.add_class_arguments(AzureMLRunLogger, "azureml", skip={"output_dir"}, instantiate=False)
            parser.link_arguments("data.classes", "model.init_args.classes", apply_on="instantiate")
        if subcommand == "predict":
            parser.add_argument("--csv", type=str | None, default=None, help="Where the labels go")
        return parser

    def _parse_ckpt_path(self) -> None:
        """Done before parsing, see lightning_app.choices: the data that goes with a checkpoint is in it, too."""

    @property
    def settings(self) -> Namespace:
        """The parsed settings of the command."""
        found: Namespace = self.config[self.subcommand]
        return found

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.settings.trainer.default_root_dir or OUTPUT_DIR))

    def before_instantiate_classes(self) -> None:
        if self.subcommand != "fit" or self.settings.trainer.fast_dev_run:
            return
        self.folder.check_writable()
        check_azureml(self.settings.azureml.as_dict())
        self.plan = plan(self.folder, self.settings.resume, self._settings_as_dict())
        if self.plan.finished and self.plan.tested:
            log.info("%s", training.finished_message(self.folder, self.plan))
            raise SystemExit(0)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = self._get(self.config_init, "trainer")
        fitting = self.subcommand == "fit" and not trainer.fast_dev_run
        processes = AzureMLEnvironment()
        kwargs["plugins"] = [AtomicCheckpointIO(), processes, *_as_list(trainer.plugins)]
        kwargs["callbacks"] = _as_list(trainer.callbacks)
        if trainer.logger in (None, False, True):
            kwargs["logger"] = False  # RunStart adds ours
        kwargs["profiler"] = trainer.profiler or NoProfiler()
        if fitting:
            start = RunStart(self.folder, self.plan, self._write_config, self._loggers)
            kwargs["callbacks"] = [start, self.throughput, *kwargs["callbacks"]]
            if trainer.enable_checkpointing is not False:
                kwargs["callbacks"].append(RunCheckpoints(self.folder))
        kwargs["enable_progress_bar"] = fitting and in_terminal() and trainer.enable_progress_bar is not False
        if kwargs["enable_progress_bar"]:
            kwargs["callbacks"].append(EpochBar())
        try:
            with ddp_defaults(self.model):
                made = super().instantiate_trainer(**kwargs)
        except (ValueError, TypeError, ImportError, MisconfigurationException) as error:
            raise UsageError(f"Lightning's Trainer can't work with these --trainer settings: {error}") from error
        # here as well as in Lightning, whose strategy for one device doesn't ask
        processes.require_agreement(made.num_nodes, made.num_devices)
        if trainer.sync_batchnorm:
            check_sync_batchnorm(self.model, made)
        self._watch(made)
        return made

    def _watch(self, trainer: pl.Trainer) -> None:
        supervision.start_alone(self.watchdog, trainer.num_nodes * trainer.num_devices)
        if self.watchdog.is_running:
            progress = WatchdogProgress(self.watchdog, self.folder.root, self.settings.stall_timeout)
            trainer.callbacks.insert(0, progress)  # type: ignore[attr-defined]  # set by a connector of Lightning

    def fit(self, model: pl.LightningModule, datamodule: pl.LightningDataModule | None = None) -> None:
        if self.plan.checkpoint is not None:
            evaluation.require_same_classes(datamodule, self.plan.checkpoint)
        training.train(self.trainer, model, datamodule, self.folder, self.plan, self.throughput)

    def validate(self, **_: Any) -> None:
        evaluation.measure(self.trainer, "validate", self.model, self.datamodule, self._chosen())

    def test(self, **_: Any) -> None:
        evaluation.measure(self.trainer, "test", self.model, self.datamodule, self._chosen())

    def predict(self, **_: Any) -> None:
        target = Path(self.settings.csv) if self.settings.csv else self.folder.predictions
        evaluation.predict(self.trainer, self.model, self.datamodule, self._chosen(), target)

    def _chosen(self) -> Path:
        assert self.checkpoint is not None
        return self.checkpoint

    def _loggers(self, trainer: pl.Trainer) -> Sequence[Logger]:
        made = run_loggers(trainer, self.folder, self.plan, self.settings.as_dict())
        # the watchdog ends a process without the interpreter's own end, at which the logger closes otherwise
        self.watchdog.before_end += [logger.close for logger in made if isinstance(logger, AzureMLRunLogger)]
        return made

    def _write_config(self) -> None:
        unfinished = self.folder.config.with_suffix(".tmp")
        unfinished.write_text(self._dumped())
        unfinished.replace(self.folder.config)

    def _dumped(self) -> str:
        text: str = self._parser(self.subcommand).dump(self.settings, skip_none=False, format="yaml")
        return text

    def _settings_as_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load(self._dumped())
        return content


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
