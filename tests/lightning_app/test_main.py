"""The program as it starts."""

import subprocess
import sys
from pathlib import Path

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
