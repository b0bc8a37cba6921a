"""Nothing that a checkpoint names is imported or called: neither its classes nor values of their parameters."""

import enum
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn

from lightning_app.command_line.checkpoint_settings import names_code
from models import CifarNet
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process

FLAGS = ("--data_path", "images", "--batch_size", "20")
EVIL = "from pathlib import Path\nPath('imported').touch()\nfrom models import CifarNet as Net\ndef call(*a): ...\n"


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The last checkpoint of a run of CifarNet, and a module beside it that leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    make_cifar10(Path("images"))
    Path("evil_module.py").write_text(EVIL)
    assert run_in_process("fit", *FLAGS, "--num_epochs", "1", "--output_dir", "first").status == 0
    return Path("first/checkpoints/last.ckpt")


def change(checkpoint: Path, **values: Any) -> None:
    """Hyperparameters as somebody else has written them; what says how the file was is gone."""
    content = torch.load(checkpoint, weights_only=True)
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        content[key] |= values
    torch.save(content, checkpoint)
    checkpoint.with_name(f"{checkpoint.name}.json").unlink(missing_ok=True)


NAMED = {"_class_path": "evil_module.Net", "_instantiator": "evil_module.call", "_class": "evil_module.Net"}


def test_a_class_that_only_the_checkpoint_names_is_not_imported(checkpoint: Path) -> None:
    change(checkpoint, **NAMED)
    alone = shutil.copy(checkpoint, "alone.ckpt")

    outcomes = [
        run_in_process("fit", *FLAGS, "--num_epochs", "2", "--output_dir", "first"),
        run_in_process("fit", *FLAGS, "--num_epochs", "2", "--output_dir", "second", "--resume", "alone.ckpt"),
        run_in_process("fit", *FLAGS, "--num_epochs", "1", "--output_dir", "third", "--init_from", "alone.ckpt"),
        run_in_process("test", "--output_dir", "first"),
        run_in_process("validate", "--ckpt_path", alone),
        run_in_process("predict", "--ckpt_path", alone, "--data_path", "images"),
    ]

    assert not Path("imported").exists()
    assert [outcome.status for outcome in outcomes] == [2, 2, 0, 2, 2, 2]
    assert "is a checkpoint of evil_module.Net, but --model is models.CifarNet" in outcomes[0].err
    for outcome in outcomes[3:]:
        assert "its model is evil_module.Net, and there is no config.yaml of its run that says so; to import that" in (
            outcome.err
        )
        assert outcome.err.count("\n") == 1


def test_the_class_that_the_user_gives_is_used_with_the_settings_in_the_checkpoint(checkpoint: Path) -> None:
    change(checkpoint, _class_path="evil_module.CifarNet", _instantiator="evil_module.call")
    alone = shutil.copy(checkpoint, "alone.ckpt")

    outcome = run_in_process(
        "test",
        "--ckpt_path",
        alone,
        "--model",
        "models.CifarNet",
        "--data",
        "CIFAR10DataModule",
        "--data_path",
        "images",
    )

    assert not Path("imported").exists()
    assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.parametrize("value", [{"class_path": "evil_module.Net"}, [{"a": {"class_path": "evil_module.Net"}}]])
def test_a_value_that_names_a_class_is_not_used(checkpoint: Path, value: Any) -> None:
    change(checkpoint, learning_rate=value)
    alone = shutil.copy(checkpoint, "alone.ckpt")

    outcome = run_in_process("test", "--ckpt_path", alone, "--data_path", "images")

    assert not Path("imported").exists()
    assert outcome.status == 2
    assert "its --model.learning_rate is " in outcome.err
    assert "of which nothing is imported unless you give it yourself, by --model.learning_rate" in outcome.err


class Size(enum.Enum):
    SMALL = 1


PLAIN = [str, int, float, bool, None, Any, Path, Size, Literal["a", "b"], list[str], tuple[int, ...], dict[str, float],
         str | None, Sequence[str], list]  # fmt: skip
CODE = [nn.Module, type, type[nn.Module], Callable, Callable[[int], int], nn.Module | None, list[type[nn.Module]],
        torch.device, CifarNet | str]  # fmt: skip


@pytest.mark.parametrize("hint", PLAIN)
def test_texts_are_values_where_the_type_is_plain(hint: Any) -> None:
    assert not names_code("os.system", hint)
    assert names_code({"class_path": "os.system"}, hint)


@pytest.mark.parametrize("hint", CODE)
def test_texts_may_be_imported_where_the_type_is_a_class_or_a_function(hint: Any) -> None:
    assert names_code("os.system", hint)
    assert names_code(["os.system"], hint)
    assert not names_code(3, hint)
