"""``--help`` and ``--print_config``."""

import re
import subprocess
import sys

import pytest

from tests.support.commands import Command, environment


def test_the_most_used_flags_come_before_the_trainers_settings(run: Command) -> None:
    outcome = run("fit", "--help")

    assert (outcome.status, outcome.err) == (0, "")
    first, _, trainer = outcome.out.partition("Settings of Lightning's Trainer:")
    for flag in ("data_path", "model", "learning_rate", "momentum", "batch_size", "num_epochs", "num_workers",
                 "output_dir", "seed", "download", "resume"):  # fmt: skip
        assert f"\n  --{flag} " in first
    assert "Learning rate of SGD. (default: 0.001)" in first
    assert "(default: 4)" in first
    assert "Further settings of the models" in first
    assert trainer.count("  --trainer.") > 40
    assert max(len(line) for line in first.splitlines()) <= 100


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["fit", "--model.help", "ResNetTransfer"],
                                       ["fit", "--data.help", "ImageFolderDataModule"]])  # fmt: skip
def test_every_help_command_prints_text_and_no_error(run: Command, arguments: list[str]) -> None:
    outcome = run(*arguments)

    assert (outcome.status, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) > 5


def test_all_settings_can_be_printed_as_a_file(run: Command) -> None:
    outcome = run("fit", "--print_config", "--learning_rate", "0.5")

    assert outcome.status == 0
    assert "learning_rate: 0.5" in outcome.out
    assert "class_path: datamodules.CIFAR10DataModule" in outcome.out


def test_help_loads_neither_azureml_nor_tensorboard() -> None:
    """Each of them would take longer to load than the help takes to print."""
    command = [sys.executable, "-X", "importtime", "-m", "lightning_app", "fit", "--help"]

    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())

    loaded = set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.MULTILINE))
    assert "torch" in loaded
    assert loaded & {"azureml", "tensorboard", "pandas"} == set()
