"""``--optimizer`` and ``--lr_scheduler`` in place of those of the model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.check_flags import error_of
from lightning_app.command_line.class_help import known_classes
from tests.lightning_app.test_steps_per_execution import content, rows
from tests.support.images import make_cifar10, make_image_folder
from tests.support.in_process import run_in_process
from tests.support.known_module import difference

CPU = ("--trainer.accelerator", "cpu")
OPTIMIZERS = [known.__name__ for known in known_classes("--optimizer.help")]
# of a network with convolutions, whose gradients aren't sparse; see the test of what is refused
NOT_FOR_THIS_NETWORK = {"LBFGS", "Muon", "SparseAdam"}
# those that can be given by flags: others take functions
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [2]},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.5},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 3},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 3},
    "ReduceLROnPlateau": {"monitor": "val_loss", "patience": 0, "threshold": 10.0},
}


def several(names: Iterable[str], *fast: str) -> list[Any]:
    """The names as parameters, of which only some are for the default tests."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(folder: str, *flags: str, shows: str = "") -> None:
    usual = ("--batch_size", "4", "--data_path", "cifar", "--data.val_split", "8", *CPU, "--output_dir", folder)
    done = run_in_process("fit", *usual, *flags)
    assert done.status == 0, done
    assert shows in done.err, done
    assert shows or not done.err, done


def config(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path(folder, "config.yaml").read_text())
    return content


def rates(folder: str) -> list[float]:
    """At the end of each epoch."""
    by_epoch = {row["epoch"]: row["metrics"]["learning_rate"] for row in rows(folder) if row["epoch"] is not None
                and "learning_rate" in row["metrics"]}  # fmt: skip
    return list(by_epoch.values())


@pytest.mark.parametrize("name", several([name for name in OPTIMIZERS if name not in NOT_FOR_THIS_NETWORK], "AdamW"))
def test_an_optimizer_trains_the_same_with_steps_together_and_with_single_ones(name: str) -> None:
    make_cifar10(Path("cifar"), images_per_file=8)

    for steps in ("1", "auto"):
        fit(steps, "--optimizer", name, "--learning_rate", "0.05", "--num_epochs", "1", "--steps_per_execution", steps)

    assert not difference(content("1"), content("auto"))
    assert content("auto")["optimizer_states"][0]["param_groups"][0]["lr"] == 0.05
    assert config("auto")["optimizer"]["class_path"] == f"torch.optim.{name}"


@pytest.mark.parametrize("name", several(SCHEDULERS, "CosineAnnealingLR"))
def test_a_schedule_has_a_step_after_each_epoch_and_continues_where_it_was(name: str) -> None:
    make_cifar10(Path("cifar"), images_per_file=8)
    flags = ["--optimizer", "SGD", "--optimizer.lr", "0.04", "--lr_scheduler", name]
    flags += [word for key, value in SCHEDULERS[name].items() for word in (f"--lr_scheduler.{key}", str(value))]

    fit("whole", *flags, "--num_epochs", "3")
    fit("parts", *flags, "--num_epochs", "1")
    fit("parts", *flags, "--num_epochs", "3")

    assert not difference(content("whole"), content("parts"))
    assert rates("whole") == rates("parts")
    assert len(rates("whole")) == 3
    if name not in ("ConstantLR", "PolynomialLR"):  # whose first steps are equal, or that end after five
        assert len(set(rates("whole"))) > 1


def test_the_known_schedules_are_those_of_torch() -> None:
    names = {known.__name__ for known in known_classes("--lr_scheduler.help")}

    assert names >= SCHEDULERS.keys()
    assert not names & {"LRScheduler", "SequentialLR", "ChainedScheduler"}


@pytest.mark.parametrize(
    ("flags", "rate"),
    [
        ([], 0.001),  # Adam's own
        pytest.param(["--learning_rate", "0.02"], 0.02, marks=pytest.mark.slow),
        (["--optimizer.lr", "0.03"], 0.03),
        pytest.param(["--learning_rate", "0.02", "--optimizer.lr", "0.02"], 0.02, marks=pytest.mark.slow),
    ],
)
def test_the_learning_rate_is_one_setting_of_model_and_optimizer(flags: list[str], rate: float) -> None:
    make_cifar10(Path("cifar"), images_per_file=8)

    fit("run", "--model", "CifarResNet", "--model.width", "1", "--optimizer", "Adam", *flags, "--num_epochs", "1")

    settings = config("run")
    assert settings["optimizer"]["init_args"]["lr"] == settings["model"]["init_args"]["learning_rate"] == rate
    assert content("run")["optimizer_states"][0]["param_groups"][0]["lr"] == rate
    assert content("run")["hyper_parameters"]["learning_rate"] == rate


def test_the_settings_of_a_run_can_be_given_again_and_another_optimizer_is_another_run() -> None:
    make_cifar10(Path("cifar"), images_per_file=8)
    fit("one", "--optimizer", "AdamW", "--optimizer.weight_decay", "0.1", "--num_epochs", "1", "--optimizer.lr", "0.01")

    again = run_in_process("fit", "--config", "one/config.yaml", "--output_dir", "other")
    validated = run_in_process("validate", "--output_dir", "one")

    assert (again.status, validated.status) == (0, 0), again.err + validated.err
    assert not difference(content("one"), content("other"))

    changed = run_in_process("fit", "--config", "one/config.yaml", "--optimizer", "SGD", "--num_epochs", "2")

    assert changed.status == 0, changed.err
    assert "--optimizer was torch.optim.AdamW, now torch.optim.SGD" in changed.out
    assert Path("one/previous").is_dir()


def test_a_finder_of_the_learning_rate_changes_that_of_the_optimizer() -> None:
    make_cifar10(Path("cifar"), images_per_file=40)
    finder = ("--trainer.callbacks", "LearningRateFinder", "--trainer.callbacks.num_training_steps", "40")

    fit("run", "--optimizer", "Adam", "--num_epochs", "1", *finder, shows="best initial lr")

    settings = config("run")
    found = settings["model"]["init_args"]["learning_rate"]
    assert found != 0.001
    assert settings["optimizer"]["init_args"]["lr"] == found
    assert content("run")["optimizer_states"][0]["param_groups"][0]["lr"] == found


def test_only_the_head_of_a_frozen_backbone_is_trained_and_several_heads_each_at_its_rate() -> None:
    make_image_folder(Path("images"))
    flags = ("fit", "--model", "ResNetTransfer", "--model.weights", "none", "--data_path", "images", *CPU,
             "--data.image_size", "32", "--num_epochs", "1", "--optimizer", "Adam")  # fmt: skip

    one = run_in_process(*flags, "--output_dir", "one", "--learning_rate", "0.01")
    several = run_in_process(*flags, "--output_dir", "several", "--model.learning_rates", "0.01,0.1")

    assert (one.status, several.status) == (0, 0), one.err + several.err
    assert len(content("one")["optimizer_states"][0]["state"]) == 2
    groups = content("several")["optimizer_states"][0]["param_groups"]
    assert [group["lr"] for group in groups] == [0.01, 0.1]
    heads = content("several")["heads"]["parameters"]
    assert torch.equal(heads[0][0], content("one")["state_dict"]["network.fc.weight"])  # as if it was trained alone


RATES = ("--model", "ResNetTransfer", "--model.learning_rates", "0.1,0.01", "--optimizer", "SGD")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--lr_scheduler", "ExponentialLR", "--lr_scheduler.gamma", "0.9"),
         "--lr_scheduler ExponentialLR: needs --optimizer"),
        (("--optimizer", "Adam", "--learning_rate", "0.1", "--optimizer.lr", "0.2"),
         "--learning_rate 0.1 and --optimizer.lr 0.2: two learning rates; give one of them"),
        (("--optimizer", "Adam", "--momentum", "0.8"),
         "--momentum 0.8: is of the model's own optimizer, in whose place --optimizer Adam is; give "
         "--optimizer.momentum or leave it out"),
        (("--optimizer", "Adam", "--model.schedule", "one_cycle"), "--model.schedule one_cycle: is of the model's own"),
        (("--optimizer", "Adam", "--model", "CifarResNet", "--model.weight_decay", "0.1"),
         "--model.weight_decay 0.1: is of the model's own optimizer"),
        (("--optimizer", "Adam", "--model", "ResNetTransfer", "--model.gamma", "0.5"), "--model.gamma 0.5: is of"),
        (("--optimizer", "LBFGS"), "--optimizer LBFGS: computes the gradients of a batch several times"),
        ((*RATES, "--optimizer.lr", "0.1"), "--model.learning_rates 0.1,0.01 and --optimizer.lr: give one of them"),
        ((*RATES, "--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "1"),
         "--model.learning_rates 0.1,0.01: --lr_scheduler OneCycleLR has one learning rate for all heads"),
        (("--optimizer", "Adamm"), "--optimizer Adamm: no such class; did you mean Adam?"),
        (("--optimizer", "Adam", "--optimizer.weight_deca", "1"),
         "--optimizer.weight_deca: torch.optim.Adam has no such setting; did you mean weight_decay?"),
        (("--optimizer", "Adam", "--optimizer.lr", "high"), "--optimizer.lr high: expected a finite number"),
        (("--optimizer.lr", "1"), "--optimizer.lr: a setting of a class that isn't given; give --optimizer CLASS"),
        (("--lr_scheduler.gamma", "1"), "--lr_scheduler.gamma: a setting of a class that isn't given; give --lr_sched"),
        (("--optimizer", "StepLR"), "--optimizer StepLR: no such class"),
        (("--optimizer", "Adam", "--lr_scheduler", "CosineAnnealingLR"),
         "--lr_scheduler CosineAnnealingLR: needs --lr_scheduler.T_max as well"),
        (("--scheduler", "StepLR"), "--scheduler: unknown flag; did you mean --lr_scheduler?"),
    ],
)  # fmt: skip
def test_what_excludes_each_other_is_refused_in_one_line(flags: tuple[str, ...], message: str) -> None:
    found = error_of(flags)

    assert found is not None
    assert found.startswith(message)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--optimizer", "Adam", "--optimizer.eps", "-1"), "--optimizer Adam: Invalid epsilon value: -1.0"),
        (("--optimizer", "Muon"), "--optimizer Muon: "),
        (("--optimizer", "SGD", "--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "1"),
         "--lr_scheduler OneCycleLR: You must define either total_steps"),
        (("--optimizer", "SGD", "--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "1", "--num_epochs", "7",
          "--lr_scheduler.total_steps", "3"), "--lr_scheduler OneCycleLR: has a step after each epoch, and is made"),
    ],
)  # fmt: skip
def test_what_an_optimizer_refuses_is_one_line_before_a_run_folder_is_made(
    flags: tuple[str, ...], message: str
) -> None:
    done = run_in_process("fit", *flags, *CPU)

    assert done.status == 2
    assert done.err.startswith(f"error: {message}")
    assert done.err.count("\n") == 1
    assert not Path("outputs/config.yaml").exists()
