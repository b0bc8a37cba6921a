"""What README says is there, and what it tells people to type is understood."""

import re
import shlex

import pytest

from tests.conftest import ROOT, Command

README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("python -m lightning_app")]


def test_the_tree_in_readme_is_the_tree() -> None:
    tree = README.partition("## What is where")[2].split("```")[1]
    folder, told = "", set()
    for line in tree.strip().splitlines():
        name = line.split()[0]
        assert len(line) <= 120
        if line.startswith(" "):
            told.add(folder + name)
        else:
            folder = name
            assert (ROOT / folder).is_dir()
    there = {
        str(path.relative_to(ROOT))
        for package in ("lightning_app", "models", "datamodules", "submit")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("__init__.py", "errors.py", "checks.py")
    }
    assert told - {"lightning_app/errors.py"} == there


@pytest.mark.parametrize("command", [c for c in commands() if "lightning_app.fit" in c and "my_module" not in c])
def test_the_training_commands_in_readme_are_understood(run: Command, command: str) -> None:
    arguments = shlex.split(command, comments=True)[3:]

    outcome = run("fit", *arguments, "--print_config")

    assert (outcome.status, outcome.err) == (0, "")
    assert "class_path" in outcome.out


def test_the_make_targets_in_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    assert commands()
