"""LightningCLI with this project's defaults, run folder and help."""

import logging
from argparse import HelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_app import help_page, training
from lightning_app.checkpoints import AtomicCheckpointIO, RunCheckpoints
from lightning_app.choices import DEFAULT_MODEL
from lightning_app.errors import UsageError
from lightning_app.journal_logger import JournalLogger
from lightning_app.parse_errors import one_line
from lightning_app.predictions import write_predictions
from lightning_app.progress import EpochBar, LineLogger, in_terminal
from lightning_app.resume import Plan, plan
from lightning_app.run_folder import RunFolder
from lightning_app.run_start import RunStart
from lightning_app.throughput import Throughput

log = logging.getLogger(__name__)

OUTPUT_DIR = "outputs"
SEED = 0
_TRAINER_DEFAULTS = {
    "max_epochs": 2,  # as in the tutorials
    "log_every_n_steps": 2000,  # as in the tutorials
    "default_root_dir": OUTPUT_DIR,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,  # the data is checked when it is read
}


class Parser(LightningArgumentParser):
    """Shows the flags that people use first, and raises errors in one line instead of printing a page."""

    command: str | None = None

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        if self.command is None:
            return help_page.overview()
        text: str = super().format_help(formatter)
        defaults = {"seed_everything": SEED} | _TRAINER_DEFAULTS
        return help_page.page(self.command, defaults, text)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser within the parser, for the settings of a class
            super().error(message, ex)
        known = [name for action in self._actions for name in action.option_strings]
        raise UsageError(one_line(message, known)) from ex


class RunCLI(LightningCLI):
    """The commands fit, validate, test and predict.

    ``checkpoint`` is what validate, test and predict measure; fit finds its own by ``--resume``.
    """

    def __init__(self, arguments: Sequence[str], checkpoint: Path | None = None) -> None:
        self.checkpoint = checkpoint
        self.plan = Plan()
        self.throughput = Throughput()
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
            commands[name] |= {"weights_only", "verbose", "return_predictions"} - {"ckpt_path"}
        return commands

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"model": {"class_path": DEFAULT_MODEL}})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser: Parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)  # type: ignore[assignment]
        parser.command = subcommand
        if subcommand == "fit":
            parser.add_argument("--resume", type=str, default="auto", help="auto, never, a checkpoint or a run folder")
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
        return RunFolder(Path(self.settings.trainer.default_root_dir))

    def before_instantiate_classes(self) -> None:
        if self.subcommand != "fit" or self.settings.trainer.fast_dev_run:
            return
        self.folder.check_writable()
        self.plan = plan(self.folder, self.settings.resume, self._settings_as_dict())
        if self.plan.finished and self.plan.tested:
            log.info("%s", training.finished_message(self.folder, self.plan))
            raise SystemExit(0)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = self.settings.trainer
        fitting = self.subcommand == "fit" and not trainer.fast_dev_run
        kwargs["plugins"] = [AtomicCheckpointIO(), *_as_list(trainer.plugins)]
        kwargs["callbacks"] = [*_as_list(self._get(self.config_init, "trainer")["callbacks"])]
        if trainer.logger in (None, False, True):
            kwargs["logger"] = False  # RunStart adds ours
        if fitting:
            start = RunStart(self.folder, self.plan, self._write_config, self._loggers)
            kwargs["callbacks"] = [start, self.throughput, *kwargs["callbacks"]]
            if trainer.enable_checkpointing is not False:
                kwargs["callbacks"].append(RunCheckpoints(self.folder))
        kwargs["enable_progress_bar"] = fitting and in_terminal() and trainer.enable_progress_bar is not False
        if kwargs["enable_progress_bar"]:
            kwargs["callbacks"].append(EpochBar())
        return super().instantiate_trainer(**kwargs)

    def fit(self, model: pl.LightningModule, datamodule: pl.LightningDataModule | None = None) -> None:
        training.train(self.trainer, model, datamodule, self.folder, self.plan, self.throughput)

    def validate(self, **kwargs: Any) -> None:
        self._measure("validate", "val_dataloader", kwargs)

    def test(self, **kwargs: Any) -> None:
        self._measure("test", "test_dataloader", kwargs)

    def predict(self, csv: str | None = None, **kwargs: Any) -> None:
        batches: Any = self.trainer.predict(**{**kwargs, "ckpt_path": str(self.checkpoint)}) or []
        target = Path(self.settings.csv) if self.settings.csv else self.folder.predictions
        data = self.datamodule
        count = write_predictions(target, data.data_path, data.predicted_paths, self.model.classes, batches)
        log.info("%s images labelled: %s", f"{count:,}", target)

    def _measure(self, command: str, images: str, kwargs: dict[str, Any]) -> None:
        run = getattr(self.trainer, command)
        results = run(**{**kwargs, "ckpt_path": str(self.checkpoint), "verbose": False})
        metrics = training.measured(self.trainer, results)
        if not metrics:
            raise UsageError(f"{command}: the data has no images for it ({images} is empty)")
        for name, value in metrics.items():
            log.info("%s %.4f", name, value)

    def _loggers(self, trainer: pl.Trainer) -> list[Logger]:
        screen: list[Logger] = [] if trainer.progress_bar_callback else [LineLogger(trainer)]
        wanted = self.settings.trainer.logger
        if wanted is False:
            return screen
        tensorboard = self.folder.tensorboard
        events: list[Logger] = []
        if wanted in (None, True):
            events = [
                TensorBoardLogger(str(tensorboard.parent), name="", version=tensorboard.name, default_hp_metric=False)
            ]
        return [JournalLogger(self.folder.journal), *events, *screen]

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
