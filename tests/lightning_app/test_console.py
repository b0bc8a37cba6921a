"""What is printed: beside a progress bar, and where nobody reads it any more."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from lightning_app.console import print_line
from tests.support.commands import command_line, environment
from tests.support.scripted import Terminal


def test_a_message_does_not_share_a_line_with_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80)
    monkeypatch.setattr(sys, "stdout", terminal.file)
    monkeypatch.setattr(sys, "stderr", terminal.file)

    with tqdm(total=4, initial=1, leave=False):
        print_line("a message")

    assert re.search(r"1/4.*\r *\ra message\r\n", terminal.text())


def test_a_training_whose_output_nobody_reads_any_more_continues(cifar10: Path, tmp_path: Path) -> None:
    command = command_line("fit", "--data_path", str(cifar10), "--num_epochs", "1")

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment()
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline().startswith(b"Training on ")
        program.stdout.close()  # as head does
        errors = program.stderr.read()

    assert (program.returncode, errors) == (0, b"")
    assert (tmp_path / "outputs" / "charts").exists()  # of the test at the end
