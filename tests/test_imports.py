"""Who may import whom: the program uses data and models, which use nothing of ours; Azure's client stays apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment

MAY_IMPORT = {"datamodules": set(), "models": set(), "lightning_app": {"datamodules", "models"}, "submit": set()}
OURS = {"lightning_app", "datamodules", "models", "submit", "benchmarks", "tests"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_the_sender_loads_neither_torch_nor_lightning() -> None:
    heavy = "[name for name in ('torch', 'pytorch_lightning', 'matplotlib') if name in sys.modules]"
    program = f"import sys; import lightning_app.azureml.sender, lightning_app.deliver; print({heavy})"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment())

    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_what_it_may(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files

    for path in files:
        assert imported(path) & OURS <= MAY_IMPORT[package] | {package}, path
