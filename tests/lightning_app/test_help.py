"""TODO"""

import subprocess
import sys
import time

import pytest

from tests.support.commands import Command, command_line, environment


def test_the_flags_that_people_use_come_before_the_trainers_forty(run: Command) -> None:
    outcome = run("fit", "--help")

    assert (outcome.status, outcome.err) == (0, "")
    first, _, trainer = outcome.out.partition("Settings of Lightning's Trainer:")
    for flag in ("data_path", "model", "learning_rate", "momentum", "batch_size", "num_epochs", "num_workers",
                 "output_dir", "seed", "download", "resume"):  # fmt: skip
        assert f"\n  --{flag} " in first
    assert "Step size of SGD. (default: 0.001)" in first
    assert "(default: 4)" in first
    assert "Further settings of the models" in first
    assert trainer.count("  --trainer.") > 40
    assert max(len(line) for line in first.splitlines()) <= 100


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["fit", "--model.help", "ResNetTransfer"],
                                       ["fit", "--data.help", "ImageFolderDataModule"]])  # fmt: skip
def test_every_help_is_a_page_and_no_error(run: Command, arguments: list[str]) -> None:
    outcome = run(*arguments)

    assert (outcome.status, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) > 5


def test_all_settings_can_be_printed_as_a_file(run: Command) -> None:
    outcome = run("fit", "--print_config", "--learning_rate", "0.5")

    assert outcome.status == 0
    assert "learning_rate: 0.5" in outcome.out
    assert "class_path: datamodules.CIFAR10DataModule" in outcome.out


def test_help_takes_little_longer_than_importing_what_the_program_stands_on() -> None:
    """Measured in turn, so that both see the same machine; the fastest of each is compared."""
    commands = {
        "import": [sys.executable, "-c", "import torch, torchvision, pytorch_lightning"],
        "help": command_line("fit", "--help"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(4):
        for name, command in commands.items():
            started = time.monotonic()
            subprocess.run(command, check=True, capture_output=True, env=environment())
            seconds[name].append(time.monotonic() - started)

    assert min(seconds["help"]) <= 1.25 * min(seconds["import"]), seconds
