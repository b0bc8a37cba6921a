"""TODO"""

import pytest

from lightning_app.errors import UsageError
from lightning_app.flags import expand, short_name


def test_a_short_spelling_stands_for_the_long_one() -> None:
    expanded = expand(["--data_path", "x", "--learning_rate=0.1", "--trainer.devices", "1", "--num_epochs", "3"])

    assert expanded == ["--data.data_path=x", "--model.learning_rate=0.1", "--trainer.devices", "1",
                        "--trainer.max_epochs=3"]  # fmt: skip


def test_the_later_of_two_equal_flags_counts() -> None:
    assert expand(["--seed", "1", "--seed", "2"]) == ["--seed_everything=1", "--seed_everything=2"]


def test_a_switch_needs_no_value() -> None:
    assert expand(["--download", "--seed", "1"]) == ["--data.download=true", "--seed_everything=1"]
    assert expand(["--download", "false"]) == ["--data.download=false"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size", "4", "--data.batch_size", "4"], "--batch_size and --data.batch_size are one setting"),
        (["--batch_size"], r"--batch_size: expected a value \(N\) after it"),
        (["--batch_size", "--seed", "1"], "--batch_size: expected a value"),
        (["--num_epochs", "-1"], "--num_epochs -1: expected a whole number of at least 1"),
        (["--num_epochs", "0"], "--num_epochs 0"),
        (["--num_epochs", "two"], "--num_epochs two"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        expand(arguments)


def test_errors_name_the_spelling_that_people_use() -> None:
    assert short_name("model.init_args.learning_rate") == "--learning_rate"
    assert short_name("model.init_args.depth") == "--model.depth"
    assert short_name("trainer.max_epochs") == "--num_epochs"
