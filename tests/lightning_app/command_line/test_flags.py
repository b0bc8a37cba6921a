"""Training flags: short names are expanded, mistakes are refused, and flags are read from a list of arguments."""

import pytest

from lightning_app.command_line.flags import expand, flag_names, flag_values, last_value, short_name, without_flag
from lightning_app.errors import UsageError


def test_a_short_name_stands_for_the_full_one() -> None:
    expanded = expand(["--data_path", "x", "--learning_rate=0.1", "--trainer.devices", "1", "--num_epochs", "3"])

    assert expanded == ["--data.data_path=x", "--model.learning_rate=0.1", "--trainer.devices", "1",
                        "--trainer.max_epochs=3"]  # fmt: skip


def test_a_flag_that_is_given_twice_is_kept_twice_in_order() -> None:
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
def test_a_mistake_is_refused_with_the_name_of_the_flag(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        expand(arguments)


def test_errors_name_the_short_flag_where_there_is_one() -> None:
    assert short_name("model.init_args.learning_rate") == "--learning_rate"
    assert short_name("model.init_args.depth") == "--model.depth"
    assert short_name("trainer.max_epochs") == "--num_epochs"


def test_values_are_read_from_both_ways_of_writing_a_flag() -> None:
    arguments = ["--model", "ResNetTransfer", "--seed", "1", "--model=CifarNet", "-c", "a.yaml"]

    values = list(flag_values(arguments, "--model", "-c"))

    assert values == [("--model", "ResNetTransfer"), ("--model", "CifarNet"), ("-c", "a.yaml")]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--csv"], ""),
        (["--csv="], ""),
        (["--csv", "--seed", "1"], ""),
        (["--csv", "-1"], "-1"),
        (["--csv=a=b"], "a=b"),
    ],
)
def test_the_value_of_a_flag_is_empty_where_none_is_given(arguments: list[str], value: str) -> None:
    assert list(flag_values(arguments, "--csv")) == [("--csv", value)]


def test_the_last_value_of_a_flag_counts() -> None:
    arguments = ["--config", "a.yaml", "-c=b.yaml", "--seed", "1"]

    assert last_value(arguments, "--config", "-c") == "b.yaml"
    assert last_value(arguments, "--config") == "a.yaml"
    assert last_value(arguments, "--model") is None


def test_flag_names_are_listed_without_values() -> None:
    assert flag_names(["--seed", "1", "--model.depth=18", "word", "--download"]) == [
        "--seed",
        "--model.depth",
        "--download",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed", "1", "--resume", "never", "--download"],
        ["--seed", "1", "--resume=never", "--download"],
        ["--resume", "auto", "--seed", "1", "--download", "--resume=a", "--resume", "b"],
        ["--seed", "1", "--resume", "--download"],
        ["--seed", "1", "--download"],
    ],
)
def test_a_flag_is_dropped_with_its_value(arguments: list[str]) -> None:
    assert without_flag(arguments, "--resume") == ["--seed", "1", "--download"]
