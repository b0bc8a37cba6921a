"""Modules of the current folder are found, and those that hide the program's own packages are named in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.command_line import import_path
from lightning_app.errors import UsageError
from tests.support.commands import ROOT, Outcome, environment
from tests.support.wheels import installed_wheel

OWN_MODEL = """
import torch
from models import CifarNet

class Net(CifarNet):
    pass
"""
CONSOLE_SCRIPT = "from lightning_app.main import main; main()"


def start(*words: str, folder: Path, pythonpath: str = "") -> Outcome:
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment() | {"PYTHONPATH": pythonpath},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def own_package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    return folder / name


@pytest.mark.parametrize("name", import_path.OWN_PACKAGES)
def test_a_folder_that_hides_an_own_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hiding = own_package(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(UsageError) as caught:
        import_path.check_own_packages()

    assert str(caught.value) == (
        f"{str(hiding)!r} takes the place of this program's own package {name!r}; rename it, or run the same "
        "command by lightning-azureml in place of python -m lightning_app"
    )


def test_a_file_that_hides_an_own_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "models.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "folder"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "folder"), *sys.path])
    monkeypatch.delitem(sys.modules, "models", raising=False)

    with pytest.raises(UsageError, match=r"models.py' takes the place .* or take its folder off PYTHONPATH"):
        import_path.check_own_packages()


def test_the_own_packages_pass() -> None:
    import_path.check_own_packages()


def test_a_folder_without_python_files_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "models", raising=False)

    import_path.check_own_packages()


@pytest.mark.parametrize("words", [["-m", "lightning_app.fit"], ["-m", "lightning_app", "fit"]])
def test_the_program_in_a_project_with_its_own_models_ends_with_one_line(tmp_path: Path, words: list[str]) -> None:
    own_package(tmp_path, "models")

    outcome = start(*words, "--num_epochs", "1", folder=tmp_path, pythonpath=str(ROOT))

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {str(tmp_path / 'models')!r} takes the place of this program's own package")
    assert outcome.err.count("\n") == 1


def test_a_console_script_finds_the_users_modules_and_its_own_packages_first(tmp_path: Path) -> None:
    own_package(tmp_path, "models")
    (tmp_path / "my_module.py").write_text(OWN_MODEL)
    script = tmp_path / "bin" / "lightning-azureml"
    script.parent.mkdir()
    script.write_text(CONSOLE_SCRIPT)

    outcome = start(str(script), "--model.help", "my_module.Net", folder=tmp_path, pythonpath=str(ROOT))

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("usage: --model my_module.Net")


def test_the_current_folder_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/somewhere"])

    import_path.append_current_folder()
    import_path.append_current_folder()

    assert sys.path == ["/somewhere", str(tmp_path)]


def test_a_current_folder_that_was_removed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(UsageError, match="the current folder doesn't exist any more"):
        import_path.append_current_folder()


def test_the_wheel_has_every_package() -> None:
    """What a package lacks in the wheel is found in a checkout, so that no other test would notice."""
    listed = set(re.findall(r'^    "([\w.]+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("lightning_app", *import_path.OWN_PACKAGES, "submit")
        for path in (ROOT / name).rglob("__init__.py")
    }

    assert packages <= listed


@pytest.mark.slow
def test_an_installed_wheel_trains_a_model_of_the_current_folder(tmp_path: Path) -> None:
    site = installed_wheel(tmp_path)
    (tmp_path / "project").mkdir()
    own_package(tmp_path / "project", "models")
    (tmp_path / "project" / "my_module.py").write_text(OWN_MODEL)
    flags = ["--model", "my_module.Net", "--data", "CIFAR10DataModule", "--trainer.limit_train_batches", "3"]

    script = str(site / "bin" / "lightning-azureml")
    flags += ["--recipe", "cifar_net", "--num_epochs", "1"]
    outcome = start(script, "fit", *flags, folder=tmp_path / "project", pythonpath=str(site))

    assert outcome.status == 0, outcome.err
    assert "Finished: 1 epoch, 3 steps." in outcome.out
    assert "batch_size: 128" in (tmp_path / "project" / "outputs" / "config.yaml").read_text()
    assert (tmp_path / "project" / "outputs" / "checkpoints" / "last.ckpt").exists()
