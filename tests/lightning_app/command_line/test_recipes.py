"""Settings that come with the program, by name."""

import gc
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from lightning_app.check_flags import error_of
from lightning_app.command_line.commands import run_command
from lightning_app.command_line.recipes import recipe_names, with_recipe
from lightning_app.errors import UsageError
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.unstarted_cli import UnstartedCLI


class SettingsCLI(UnstartedCLI):
    """Keeps the settings."""

    found: ClassVar[dict[str, Any]] = {}

    def before_instantiate_classes(self) -> None:
        type(self).found = self.settings.as_dict()

    def instantiate_classes(self) -> None:
        """Not of interest here."""


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.mark.parametrize("name", recipe_names())
def test_each_recipe_can_be_used(name: str) -> None:
    assert error_of(["--recipe", name]) is None


def test_other_flags_count_more_wherever_they_stand() -> None:
    run_command(
        ["fit", "--num_epochs", "3", "--recipe", "cifar_net", "--learning_rate", "0.2"], Watchdog(), SettingsCLI
    )

    settings = SettingsCLI.found
    model = settings["model"]["init_args"]
    assert (model["learning_rate"], model["schedule"], model["momentum"]) == (0.2, "one_cycle", 0.9)
    assert settings["trainer"]["max_epochs"] == 3
    assert settings["data"]["init_args"]["batch_size"] == 128


def test_a_recipe_chooses_its_model_and_data() -> None:
    run_command(["fit", "--recipe=cifar_resnet"], Watchdog(), SettingsCLI)

    settings = SettingsCLI.found
    assert settings["model"]["class_path"] == "models.CifarResNet"
    assert settings["data"]["class_path"] == "datamodules.CIFAR10DataModule"
    assert settings["data"]["init_args"]["augment"] is True


def test_without_a_recipe_the_flags_are_what_they_were() -> None:
    assert with_recipe(["--learning_rate", "1"]) == ["--learning_rate", "1"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--recipe", "cifar_nett"],
            "no such recipe; expected one of cifar_net, cifar_resnet; did you mean cifar_net?",
        ),
        (["--recipe", "../x"], "no such recipe"),
        (["--recipe"], "no such recipe"),
        (["--recipe=cifar_net", "--recipe=cifar_net"], "given 2 times; give one of"),
    ],
)
def test_a_name_that_is_none_is_one_line(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        with_recipe(flags)

    assert message in str(error.value)
