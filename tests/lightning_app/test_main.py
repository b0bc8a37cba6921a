"""The program as it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment

STATE = """
import gc
from lightning_app.main import main
try:
    main(["fit", "--print_config"])
finally:
    print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def state_after(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, env=environment(), check=True
    )
    return done.stdout.splitlines()[-1]


def test_the_garbage_collector_works_but_leaves_the_imported_modules_alone(tmp_path: Path) -> None:
    assert state_after(STATE, tmp_path) == "True True"


def test_in_a_program_that_has_torch_already_the_garbage_collector_stays_as_it_is(tmp_path: Path) -> None:
    assert state_after("import torch\n" + STATE, tmp_path) == "True False"


LONG_NAME = "a" * 300
COMMANDS = (
    ["lightning_app.deliver", LONG_NAME],
    ["lightning_app", "report", LONG_NAME],
    ["lightning_app", "export", LONG_NAME],
    ["lightning_app", "fit", "--output_dir", LONG_NAME],
    ["lightning_app", "predict", "--output_dir", LONG_NAME],
    ["submit", "upload", "--src", LONG_NAME, "--target", "data"],
    ["submit", "rehearse", "--config", LONG_NAME],
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_name_that_no_system_takes_is_one_line(tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("(File name too long); give a shorter one")
    assert len(line) < 200
