"""What the training command needs of a snapshot."""

from pathlib import Path

import pytest

from submit.preflight.checks import check_folder
from submit.training_flags import class_paths
from submit.v1.sdk import SDK
from tests.support.preflight import texts, write


@pytest.mark.parametrize(
    ("rules", "file"),
    [
        ("models/\n", "'models/cifar_net.py'"),
        ("*.py\n", "'lightning_app/fit.py'"),
        ("pyproject.toml\n", "'pyproject.toml'"),
        ("my_*\n", "'my_module.py'"),
        ("own\n", "'own/nets/big.py'"),
    ],
)
def test_code_that_is_ignored_by_mistake_is_an_error(project: Path, rules: str, file: str) -> None:
    write(project, "my_module.py", "own/nets/big.py")
    write(project, ".amlignore", text=rules)

    found = texts(check_folder(project, SDK, ["--model", "my_module.MyModel", "--data=own.nets.big.Data"]), "error")

    assert f"snapshot: the job needs {file}; remove it from .amlignore" in found


def test_a_package_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, ".amlignore", "lightning_app/fit.py")

    found = texts(check_folder(tmp_path, SDK), "error")

    assert [text.partition(";")[0].rpartition(" ")[2] for text in found] == [
        "'datamodules'",
        "'models'",
        "'pyproject.toml'",
    ]


def test_a_folder_without_the_program_needs_only_modules_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, ".amlignore", "my_module.py")

    assert check_folder(tmp_path, SDK, ["--model", "my_module.Net"]) == []


@pytest.mark.parametrize("name", ["models/net.py", "datamodules.py"])
def test_a_module_that_would_hide_the_installed_program_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path, ".amlignore", name)

    (found,) = texts(check_folder(tmp_path, SDK), "error")

    assert found.startswith(f"snapshot: {name.partition('/')[0].removesuffix('.py')!r} in ")
    assert found.endswith("hides the program's package of that name; rename it")


def test_a_model_of_an_installed_package_or_a_short_name_needs_no_file(project: Path) -> None:
    assert check_folder(project, SDK, ["--model", "CifarNet", "--data", "torchvision.datasets.MNIST"]) == []


def test_the_classes_of_a_configuration_file_are_needed(project: Path) -> None:
    write(project, "my_module.py", "callbacks.py")
    write(
        project,
        "c.yaml",
        text="model:\n  class_path: my_module.Net\ntrainer:\n  callbacks:\n  - class_path: callbacks.Mine\n",
    )
    write(project, ".amlignore", text="my_module.py\ncallbacks.py\n")

    found = texts(check_folder(project, SDK, ["--config", "c.yaml"]), "error")

    assert [text.split("'")[1] for text in found] == ["my_module.py", "callbacks.py"]
    assert class_paths(project, ['--model={"class_path": "a.B"}', "--data", "c.D"]) == ["a.B", "c.D"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "ignored.yaml"], "--config 'ignored.yaml': the snapshot doesn't have this file; "),
        (["--config=missing.yaml"], "--config 'missing.yaml': no such file in "),
        (["--model.weights", "../w.pth"], "--model.weights '../w.pth': expected a path within the project"),
        (["-c", "/tmp/../c.yaml"], "-c '/tmp/../c.yaml': expected a path within the project"),  # noqa: S108 - unused
    ],
)
def test_files_of_the_command_that_the_job_would_miss_are_errors(
    project: Path, arguments: list[str], message: str
) -> None:
    write(project, "ignored.yaml")
    write(project, ".amlignore", text="ignored.yaml\n")

    (text,) = texts(check_folder(project, SDK, arguments), "error")

    assert text.startswith(message)


def test_weights_named_in_the_command_may_be_uploaded(project: Path) -> None:
    write(project, "weights/resnet18.pth")

    assert check_folder(project, SDK, ["--model.weights", "./weights/resnet18.pth"]) == []
    assert check_folder(project, SDK, ["--model.weights", "DEFAULT"]) != []
