"""The arguments of this program's own, beside those that LightningCLI makes from the classes."""

from argparse import SUPPRESS
from typing import Literal

from jsonargparse.typing import PositiveFloat, PositiveInt
from pytorch_lightning.cli import LightningArgumentParser

from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.checkpointing.kept_checkpoints import DEFAULT_KEEP
from lightning_app.checkpointing.monitor import Mode
from lightning_app.checkpointing.save_interval import DEFAULT_INTERVAL
from lightning_app.command_line.defaults import NOT_SET_HERE
from lightning_app.preemption.watcher import OnPreemption
from lightning_app.watchdog.protocol import Timeouts


def add_own(parser: LightningArgumentParser, command: str) -> None:
    """Adds the arguments of ``fit``, ``validate``, ``test`` or ``predict`` that no class has; see ``help_page``."""
    for name in NOT_SET_HERE[command]:
        parser.add_argument(f"--{name}", type=str | bool | None, default=None, help=SUPPRESS)
    parser.add_argument("--stall_timeout", type=PositiveFloat, default=Timeouts.stall)
    if command == "fit":
        _add_those_of_fit(parser)
    if command == "predict":
        parser.add_argument("--csv", type=str | None, default=None)
        parser.add_argument("--top_k", type=PositiveInt, default=1)


def _add_those_of_fit(parser: LightningArgumentParser) -> None:
    parser.add_argument("--resume", type=str, default="auto")
    parser.add_argument("--init_from", type=str | None, default=None)
    parser.add_argument("--checkpoint_every", type=int | str, default=DEFAULT_INTERVAL)
    parser.add_argument("--checkpoint_keep", type=int, default=DEFAULT_KEEP)
    parser.add_argument("--checkpoint_dir", type=str | None, default=None)
    parser.add_argument("--monitor", type=str | None, default=None)
    parser.add_argument("--monitor_mode", type=Mode | None, default=None)
    parser.add_argument("--early_stopping", type=PositiveInt | None, default=None)
    parser.add_argument("--steps_per_execution", type=Literal["auto"] | PositiveInt, default="auto")
    parser.add_argument("--on_preemption", type=OnPreemption, default="auto")
    parser.add_optimizer_args()
    parser.add_lr_scheduler_args()
    parser.add_class_arguments(AzureMLRunLogger, "azureml", skip={"output_dir"}, instantiate=False)
    parser.link_arguments("data.classes", "model.init_args.classes", apply_on="instantiate")
