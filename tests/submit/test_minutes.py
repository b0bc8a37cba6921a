"""The lines of a long transfer in a log."""

import sys

import pytest

from submit.upload.minutes import MinuteLines
from tests.support.scripted import Terminal


def test_without_a_terminal_a_line_is_printed_when_its_time_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    MinuteLines(seconds=0).print("3 of 5 files, 1.2 GB of 2.0 GB")
    MinuteLines(seconds=3600).print("too early")

    assert capsys.readouterr().err == "3 of 5 files, 1.2 GB of 2.0 GB\n"


def test_in_a_terminal_the_bar_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal.file)
        MinuteLines(seconds=0).print("3 of 5 files")

    assert terminal.text() == ""
