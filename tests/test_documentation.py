"""What README says is there, and what it tells people to type is understood."""

import re
import shlex
from pathlib import Path

import pytest

from submit.describe import describe_job
from submit.main import parse_command
from tests.support.commands import ROOT, Command

UNTOLD = ("__init__.py", "__main__.py", "errors.py")
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("python -m ")]


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
    within = ("delivery", "diagnosis", "distributed", "watchdog")
    packages = ("lightning_app", *(f"lightning_app/{name}" for name in within), "models", "datamodules", "submit")
    told_folders = {name for name in told if name.endswith("/")}
    told -= told_folders
    assert told_folders == {
        f"{path.parent.relative_to(ROOT)}/"
        for path in (ROOT / "submit").rglob("__init__.py")
        if path.parent != ROOT / "submit"
    }
    there = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).glob("*.py")
        if path.name not in UNTOLD
    }
    assert {path for path in told if Path(path).name not in UNTOLD} == there - {"datamodules/checks.py"}


@pytest.mark.parametrize("command", [c for c in commands() if "lightning_app.fit" in c and "my_module" not in c])
def test_the_training_commands_in_readme_are_understood(run: Command, command: str) -> None:
    arguments = shlex.split(command, comments=True)[3:]

    outcome = run("fit", *arguments, "--print_config")

    assert (outcome.status, outcome.err) == (0, "")
    assert "class_path" in outcome.out


@pytest.mark.parametrize("command", [c for c in commands() if re.match("python -m submit (run|rehearse) ", c)])
def test_the_submit_commands_in_readme_are_understood(command: str) -> None:
    _, options, training = parse_command(shlex.split(command, comments=True)[3:])

    assert describe_job(options, training).command[2] == "lightning_app.fit"


def test_the_make_targets_in_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    assert commands()
