"""A checkpoint is evaluated with its own model and data, whatever of them it holds, or with none."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from lightning_app.command_line.checkpoint_settings import require_data, settings_of_checkpoint
from lightning_app.command_line.given_settings import given_settings
from lightning_app.errors import UsageError
from tests.support import own_modules
from tests.support.commands import Command

OWN = "tests.support.own_modules"
SAVED = f"--model={OWN}.Saved"  # a class that only a checkpoint names isn't imported: test_hostile_checkpoints
ANY = {"pytorch-lightning_version": pl.__version__, "state_dict": {}}


def save(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(ANY | content, path)
    return path


def configure(path: Path, **config: Any) -> None:
    path.write_text(yaml.safe_dump(config))


def settings(checkpoint: Path, *flags: str, command: str = "test") -> dict[str, Any]:
    return settings_of_checkpoint(command, given_settings(command, [], [f"--ckpt_path={checkpoint}", *flags]), "none")[
        0
    ]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The last checkpoint of a run folder; it has a model, but no data."""
    return save(
        tmp_path / "run" / "checkpoints" / "last.ckpt",
        hyper_parameters={"_class_path": f"{OWN}.Saved", "_instantiator": "x", "width": 2, "parameters": 8},
    )


def test_only_parameters_of_the_constructor_are_passed_to_it(checkpoint: Path) -> None:
    assert settings(checkpoint, SAVED) == {"model": {"class_path": f"{OWN}.Saved", "init_args": {"width": 2}}}


@pytest.mark.parametrize("place", ["run/config.yaml", "run/checkpoints/config.yaml"])
def test_data_that_the_checkpoint_lacks_is_in_the_config_file_of_its_run(
    checkpoint: Path, tmp_path: Path, place: str
) -> None:
    data = {"class_path": f"{OWN}.Points", "init_args": {"level": 5.0}}
    model = {"class_path": f"{OWN}.Saved", "init_args": {"width": 9}}
    configure(tmp_path / place, data=data, model=model, seed_everything=4)

    found = settings(checkpoint)

    assert found["data"] == data
    assert found["model"]["init_args"] == {"width": 2}  # the checkpoint's own value
    assert found["seed_everything"] == 4


def test_a_class_that_the_config_file_does_not_have_is_used_if_the_user_gives_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    configure(tmp_path / "run/config.yaml", model={"class_path": f"{OWN}.Unsaved", "init_args": {"width": 9}})

    with pytest.raises(UsageError, match=rf"to import that class, give it by --model {OWN}\.Saved"):
        settings(checkpoint)
    assert settings(checkpoint, SAVED)["model"] == {"class_path": f"{OWN}.Saved", "init_args": {"width": 2}}


def test_a_constructor_with_any_keywords_gets_all_that_was_saved(tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "a.ckpt", hyper_parameters={"_class_path": f"{OWN}.Keywords", "width": 4})

    expected = {"class_path": f"{OWN}.Keywords", "init_args": {}, "dict_kwargs": {"width": 4}}
    assert settings(checkpoint, f"--model={OWN}.Keywords")["model"] == expected


def test_a_class_that_the_user_gives_takes_over_no_setting_of_another_one(checkpoint: Path, tmp_path: Path) -> None:
    configure(tmp_path / "run/config.yaml", data={"class_path": f"{OWN}.Points", "init_args": {"level": 5.0}})

    assert "data" not in settings(checkpoint, SAVED, f"--data={OWN}.SavedPoints")
    assert "data" in settings(checkpoint, SAVED, f"--data={OWN}.Points")


def test_predict_labels_other_images_than_those_of_the_training(checkpoint: Path, tmp_path: Path) -> None:
    arguments = {"data_path": "photos", "batch_size": 8}
    configure(
        tmp_path / "run/config.yaml", data={"class_path": "datamodules.CIFAR10DataModule", "init_args": arguments}
    )

    assert settings(checkpoint, SAVED, command="test")["data"]["init_args"] == arguments
    assert settings(checkpoint, SAVED, command="predict")["data"]["init_args"] == {"batch_size": 8}


def test_an_unknown_model_or_data_is_asked_for(checkpoint: Path, tmp_path: Path) -> None:
    plain = save(tmp_path / "plain.ckpt", hyper_parameters={"width": 2})

    with pytest.raises(UsageError, match=r"says which model it belongs to; give it by its class, such as --model my_"):
        settings(plain)
    with pytest.raises(UsageError, match=r"says which data it belongs to; give it by its class, such as --data my_mod"):
        settings(checkpoint, SAVED, "--data.batch_size=3")
    for command in ("validate", "test", "predict"):
        with pytest.raises(UsageError, match="says which data it belongs to"):
            require_data(command, checkpoint, own_modules.Saved(), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["a list"], "expected named values as 'hyper_parameters'; found a list"),
        (None, "expected named values as 'hyper_parameters'; found nothing"),
        ({"_class_path": 7}, "says which model it belongs to"),
    ],
)
def test_hyperparameters_of_another_shape_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    saved = {"hyper_parameters": content, "datamodule_hyper_parameters": content, "callbacks": content}

    with pytest.raises(UsageError, match=message):
        settings(save(tmp_path / "a.ckpt", **saved))


def test_a_model_that_brings_its_data_needs_no_other(checkpoint: Path) -> None:
    require_data("test", checkpoint, own_modules.WithLoaders(), None)
    require_data("test", checkpoint, own_modules.Saved(), own_modules.Points())

    with pytest.raises(UsageError, match="says which data"):
        require_data("validate", checkpoint, own_modules.WithLoaders(), None)


def test_a_class_that_is_gone_is_one_line(tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "a.ckpt", hyper_parameters={"_class_path": "gone_module.Net"})

    with pytest.raises(
        UsageError, match=r"--model gone_module\.Net: the checkpoint's class can't be imported \(No modul"
    ):
        settings(checkpoint, "--model=gone_module.Net")


def test_an_own_model_is_tested_with_its_own_data(run: Command, tmp_path: Path) -> None:
    shutil.copy(own_modules.__file__, tmp_path / "mine.py")
    flags = ["--model", "mine.Saved", "--data", "mine.Points", "--data.level", "7", "--num_epochs", "1"]
    assert run("fit", *flags).status == 0

    known = run("test")
    Path("outputs/config.yaml").unlink()
    unknown = run("test")
    given = run("test", "--model", "mine.Saved", "--data", "mine.SavedPoints")

    assert known.out == "level 7.0000\n", known.err
    assert unknown.status == 2
    assert "its model is mine.Saved, and there is no config.yaml of its run that says so; to import" in unknown.err
    assert unknown.err.count("\n") == 1
    assert given.out == "level 2.0000\n", given.err
