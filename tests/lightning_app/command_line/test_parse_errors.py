"""The parser's errors become one line that names the flag, the value, what is expected and what was meant."""

import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonargparse.typing import PositiveFloat
from pytorch_lightning import Callback

from lightning_app.command_line.commands import run_command
from lightning_app.command_line.parse_errors import expected_words, parse_error_message
from lightning_app.errors import UsageError
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.unstarted_cli import UnstartedCLI

NO_CLASS = "no such class; expected CifarNet, CifarResNet, ResNetTransfer, or give an import path"


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of the project there may be a finished run."""
    monkeypatch.chdir(tmp_path)


def message_of(words: str) -> str:
    with pytest.raises(UsageError) as caught:
        run_command(["fit", *words.split(" ")], Watchdog(), UnstartedCLI)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lr 0.1", "--lr: unknown flag; did you mean --learning_rate?"),
        ("--learning-rate 0.1", "--learning-rate: unknown flag; did you mean --learning_rate?"),
        ("--epochs 3", "--epochs: unknown flag; did you mean --num_epochs?"),
        ("--max_epochs 3", "--max_epochs: unknown flag; did you mean --trainer.max_epochs?"),
        ("--bs 3", "--bs: unknown flag; did you mean --batch_size?"),
        ("--workers 3", "--workers: unknown flag; did you mean --num_workers?"),
        ("--data_dir x", "--data_dir: unknown flag; did you mean --data_path?"),
        ("--gpus 2", "--gpus: unknown flag; did you mean --trainer.devices?"),
        ("--arch resnet18", "--arch: unknown flag; did you mean --model.architecture?"),
        ("--depth 18", "--depth: unknown flag; did you mean --model.depth?"),
        ("--img_size 32", "--img_size: unknown flag; did you mean --data.image_size?"),
        ("--checkpoint x", "--checkpoint: unknown flag; did you mean --resume?"),
        ("--sed 3", "--sed: unknown flag; did you mean --seed?"),
        ("--zzzzz 3", "--zzzzz: unknown flag; --help lists them"),
        ("cifar", "cifar: expected a flag, such as --data_path DIR"),
        ("--model.lr 0.1", "--model.lr: models.CifarNet has no such setting; did you mean learning_rate?"),
        ("--model ResNet50", "--model ResNet50: no such class; did you mean --model ResNetTransfer --model.depth 50?"),
        ("--model VGG", f"--model VGG: {NO_CLASS}"),
        ("--model CIFAR10DataModule", f"--model CIFAR10DataModule: {NO_CLASS}"),
        ("--model no_module.M", "--model no_module.M: No module named 'no_module'"),
        ("--model models.metric_name", "--model models.metric_name: expected a subclass of LightningModule"),
        ("--model ResNetTransfer --model.weights null", "--model.weights null: expected text"),
        ("--data.batch_size null", "--batch_size null: expected a whole number"),
        ("--data.batch_size 1.5", "--batch_size 1.5: expected a whole number"),
        ("--data.batch_size=", "--batch_size '': expected a whole number"),
        ("--model.learning_rate x", "--learning_rate x: expected a finite number"),
        ("--trainer.max_steps null", "--trainer.max_steps null: expected a whole number"),
        ("--trainer.max_epochs x", "--num_epochs x: expected a whole number or null"),
        ("--trainer.detect_anomaly maybe", "--trainer.detect_anomaly maybe: expected true or false"),
        ("--model null", "--model: expected a value other than null"),
        ("--trainer.max_time 99999999999:00:00:00", "--trainer.max_time 99999999999:00:00:00: expected a time"),
        ("--trainer.val_check_interval 0", "--trainer.val_check_interval 0: expected a share of the epoch above 0.0"),
        ("--trainer.devices 1000000000", "--trainer.devices 1000000000: expected at most 10,000 devices"),
        ("--trainer.num_nodes 0", "--trainer.num_nodes 0: expected at least 1"),
        ("--trainer.accumulate_grad_batches 0", "--trainer.accumulate_grad_batches 0: expected at least 1"),
        ("--azureml.exit_timeout 1e400", "--azureml.exit_timeout inf: expected seconds, at most 1,000,000,000"),
        ("--stall_timeout -3", "--stall_timeout -3: expected a number above 0"),
        ("--azureml.priority 3", "--azureml.priority 3: expected a list"),
        ("--trainer [1,2]", "--trainer [1,2]: expected settings, {NAME: VALUE}"),
        ("--print_config=x", "--print_config x: expected one of comments, skip_default, skip_unset, or nothing"),
        ("--trainer.callbacks EarlyStoping",
         "--trainer.callbacks EarlyStoping: no such class; did you mean EarlyStopping?, or give an import path"),
        ("--trainer.callbacks EarlyStopping",
         "--trainer.callbacks EarlyStopping: needs --trainer.callbacks.monitor as well"),
        ("--trainer.logger CSVLogger", "--trainer.logger CSVLogger: needs --trainer.logger.save_dir as well"),
        ("--trainer.logger s3://b/k", "--trainer.logger s3://b/k: expected a Logger, by name or import path"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_line(words: str, message: str) -> None:
    assert message_of(words).startswith(message)


@pytest.mark.parametrize(
    ("words", "start", "reason"),
    [
        ("--trainer.logger WandbLogger", "--trainer.logger pytorch_lightning.loggers.WandbLogger: ", "wandb"),
        ("--trainer.logger CometLogger", "--trainer.logger pytorch_lightning.loggers.CometLogger: ", "comet-ml"),
        ("--trainer.callbacks RichProgressBar", "--trainer.callbacks pytorch_lightning.callbacks.RichProgressBar: ",
         "rich"),
        ("--trainer.strategy deepspeed", "--trainer.strategy deepspeed: ", "pip install -U deepspeed"),
        ("--trainer.precision transformer-engine", "--trainer.precision transformer-engine: ", "transformer_engine"),
        ("--trainer.accelerator tpu", "--trainer.accelerator tpu: ", "torch_xla"),
    ],
)  # fmt: skip
def test_an_optional_part_that_is_not_installed_is_one_line(words: str, start: str, reason: str) -> None:
    message = message_of(words)

    assert message.startswith(start)
    assert reason in message


def test_an_error_of_a_librarys_class_is_one_line_where_the_flag_takes_other_types_as_well() -> None:
    message = message_of("--trainer.logger MLFlowLogger")  # its default folder is refused by MLflow 3

    assert message.startswith(
        "--trainer.logger pytorch_lightning.loggers.MLFlowLogger: The filesystem tracking backend"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("--trainer.devices 0", "--trainer.devices 0: Lightning's Trainer can't work with it"),
        ("--trainer.max_time x", "--trainer.max_time x: Lightning's Trainer can't work with it"),
        ("--trainer.accelerator gpus", "--trainer.accelerator gpus: Lightning's Trainer can't work with it"),
        ("--trainer.strategy no", "--trainer.strategy no: Lightning's Trainer can't work with it"),
    ],
)
def test_an_error_of_the_trainer_names_the_flag(words: str, start: str) -> None:
    assert message_of(words).startswith(start)


@pytest.mark.parametrize("value", ["[null]", "[[null]]", "[1]", "[true,null]"])
@pytest.mark.parametrize("name", ["plugins", "callbacks", "logger"])
def test_a_wrong_element_is_shown_in_the_list_that_was_given(name: str, value: str) -> None:
    message = message_of(f"--trainer.{name}={value}")

    assert message.startswith(f"--trainer.{name} {value}: expected a")
    assert "class '" not in message


@pytest.mark.parametrize("flag", ["--azureml", "--trainer"])
def test_an_error_that_names_no_setting_names_the_flags_that_are_given(flag: str) -> None:
    message = message_of(f'{flag}={{"":1}}')

    assert message.startswith(f"{flag} can't be used: ")
    assert "Empty nested key" in message


@pytest.mark.parametrize("name", ["accelerator", "gradient_clip_algorithm", "strategy"])
def test_an_error_of_the_trainer_has_only_the_start_of_a_long_value(name: str) -> None:
    message = message_of(f"--trainer.{name} {'a' * 5000}")

    assert message.startswith(f"--trainer.{name} {'a' * 60}... (5,000 characters): Lightning's Trainer can't work")
    assert len(message) < 500


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "a whole number"),
        (float | int | None, "a finite number or a whole number or null"),
        (Literal["min", "max"] | None, "one of min, max or null"),
        (list[int] | str | int, "a list or text or a whole number"),
        (bool | None, "true or false or null"),
        (
            str | datetime.timedelta | dict[str, int] | None,
            "text or a time, DD:HH:MM:SS or settings, {NAME: VALUE} or null",
        ),
        (Callback | None, "a Callback, by name or import path or null"),
        (PositiveFloat, "a number above 0"),
    ],
)
def test_types_in_words(hint: Any, words: str) -> None:
    assert expected_words(hint) == words


def test_a_form_that_is_not_known_is_never_in_the_parsers_own_words() -> None:
    message = parse_error_message('Parser key "seed_everything": words\n of a library', {}, ["fit", "--seed", "x"])

    assert message == "--seed x: expected settings, {NAME: VALUE}"
