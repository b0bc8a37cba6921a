"""Any value of any flag: it is accepted, or refused in one line that names the flag, before work starts."""

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_app.command_line.bounds import check_bounds
from lightning_app.command_line.commands import run_command
from lightning_app.command_line.error_messages import user_error_message
from lightning_app.command_line.flags import FLAGS, expand, short_name
from lightning_app.command_line.given_values import CONFIG_FLAGS, check_given_values
from lightning_app.command_line.parser import Parser, parse
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.unstarted_cli import UnstartedCLI, UnstartedWatchdog

FOREIGN_WORDS = ("Parser key", "Union subtypes", "conform", "Namespace(", "NestedArg", "typing.", "<class '", "mmap",
                 "jsonargparse", "Traceback", "codec", "sys.set_int_max_str_digits")  # fmt: skip
DEFAULTS = {"model": {"class_path": "models.CifarNet"}, "data": {"class_path": "datamodules.CIFAR10DataModule"}}
CLASS_SETTINGS = ("--model.momentum", "--model.classes", "--data.val_split", "--data.augment", "--data.num_workers")
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
FILES: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 20,
    "utf16": "seed_everything: 3".encode("utf-16"),
    "a_list": b"[1, 2]",
    "a_number": b"3",
    "deep": b"[" * 20_000,
    "deep_mapping": b"a: " + b"{a: " * 500 + b"1" + b"}" * 500,
    "bomb": BOMB.encode(),
    "itself": b"a: &a [*a]",
    "unknown": b"no_such_setting: 3",
    "digits": b"seed_everything: " + b"9" * 5000,
    "python": b"seed_everything: !!python/object/apply:os.getcwd []",
    "settings": b"seed_everything: 3",
    "device_inside": b"trainer:\n  callbacks: /dev/zero",
}
NAMES = ("null", "~", "", " ", "-", "--", "nan", ".nan", "inf", "-inf", "1e400", "-1", "0", "1_000", "0x10", "1e3",
         "18446744073709551616", "9" * 5000, "yes", "none", "[", "{", "{a: 1}", "[]", "&a [*a]", "\x00", "a" * 5000,
         "/dev/null", "/dev/zero", "pipe", "socket", "folder", "huge", *FILES, "s3://bucket/key", "memory://x",
         "file:///x", "!!python/object:os.system", "\udcff", "models.CifarNet", "CifarNet", "models.metric_name",
         "no_module.X", "models.No", ".", "..", "a..b", "*", "@x", "$HOME", "EarlyStopping",
         "MLFlowLogger", "ddp", "[null]")  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NESTED = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
VALUES = st.one_of(
    st.sampled_from(NAMES),
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.text(max_size=20),
    NESTED.map(json.dumps),
)


@cache
def program() -> UnstartedCLI:
    return UnstartedCLI(["fit"], Watchdog(), defaults=DEFAULTS)


def command_parser() -> Parser:
    parser = program()._parser("fit")
    assert isinstance(parser, Parser)
    return parser


@cache
def all_flags() -> list[str]:
    """Each flag of ``fit`` that takes a value: this project's, Lightning's, and those of classes."""
    hints = [
        flag for flag in command_parser().hints() if not flag.endswith((".help", "_config", "--help")) and flag != "-h"
    ]
    return sorted({*hints, *(flag.name for flag in FLAGS if "fit" in flag.commands), *CLASS_SETTINGS})


def own_flags() -> list[str]:
    return [flag for flag in all_flags() if not flag.startswith("--trainer")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The current folder, with files of each kind in it."""
    root = tmp_path_factory.mktemp("any_input")
    before = Path.cwd()
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as unix:
        for name, content in FILES.items():
            Path(name).write_bytes(content)
        Path("folder").mkdir()
        os.mkfifo("pipe")
        unix.bind("socket")
        with Path("huge").open("wb") as sparse:
            sparse.truncate(2**40)
        yield
    os.chdir(before)


class HangError(BaseException):
    """Reading a value doesn't end."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Ends what hangs, such as reading a pipe, so that the test fails and not the whole run of tests."""

    def give_up(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(work: Any) -> str | None:
    """The message of the error that the user can fix; None if the value is accepted. Any other error is raised."""
    try:
        with bounded():
            work()
    except Exception as error:
        message = user_error_message(error)
        if message is None:
            raise
        return message
    return None


def check_message(message: str | None, flag: str) -> None:
    if message is None:
        return
    assert "\n" not in message
    assert len(message) < 1000
    bare = flag.removesuffix("+")
    assert bare in CONFIG_FLAGS or bare in message or short_name(bare.removeprefix("--")) in message
    for words in FOREIGN_WORDS:
        assert words not in message


def parse_and_check(flag: str, value: str) -> None:
    flags = expand([f"{flag}={value}"])
    check_given_values(flags)
    parsed = parse(program().parser, command_parser(), ["fit", *flags])
    check_bounds(parsed["fit"].as_dict())


def until_work_starts(flag: str, value: str) -> None:
    with contextlib.suppress(SystemExit):  # an earlier test's run is finished
        run_command(["fit", f"{flag}={value}"], UnstartedWatchdog(), UnstartedCLI)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_any_value_of_any_flag_is_parsed_or_refused(folder: None, data: st.DataObject) -> None:
    flag = data.draw(st.sampled_from(all_flags()))
    value = data.draw(VALUES)

    check_message(refusal(lambda: parse_and_check(flag, value)), flag)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_any_value_of_an_own_flag_is_accepted_or_refused_before_work_starts(folder: None, data: st.DataObject) -> None:
    flag = data.draw(st.sampled_from(own_flags()))
    value = data.draw(VALUES)

    check_message(refusal(lambda: until_work_starts(flag, value)), flag)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_many_values_of_any_flag_are_accepted_or_refused_before_work_starts(folder: None, data: st.DataObject) -> None:
    flag = data.draw(st.sampled_from(all_flags()))
    value = data.draw(VALUES)

    check_message(refusal(lambda: until_work_starts(flag, value)), flag)


NO_SETTINGS = [name for name in FILES if name != "settings"]
NO_FILES = ["pipe", "socket", "folder", "huge", "/dev/zero", "/dev/null", "", "\x00", "a" * 5000, "s3://b/k", "nothing"]


def test_a_training_of_several_processes_is_not_waited_for(folder: None) -> None:
    until_work_starts("--trainer.devices", "3")

    assert "watchdog" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("name", NO_SETTINGS + NO_FILES)
def test_a_config_that_is_no_file_of_settings_is_one_line(folder: None, name: str) -> None:
    message = refusal(lambda: until_work_starts("--config", name))

    assert message is not None
    check_message(message, "--config")


@pytest.mark.parametrize("flag", ["--resume", "--output_dir", "--data_path", "--ckpt_path", "--csv"])
@pytest.mark.parametrize("name", ["pipe", "socket", "/dev/zero", "", " ", "\x00", "a" * 5000, "s3://b/k", "\udcff"])
def test_a_path_that_is_no_file_is_one_line(folder: None, flag: str, name: str) -> None:
    message = refusal(lambda: check_given_values(expand([f"{flag}={name}"])))

    assert message is not None
    check_message(message, flag)


@pytest.mark.parametrize("name", [*FILES, "huge", "nothing", "folder"])
def test_a_checkpoint_to_continue_from_that_is_none_is_one_line(folder: None, name: str) -> None:
    message = refusal(lambda: until_work_starts("--resume", name))

    assert message is not None
    check_message(message, "--resume")


@pytest.mark.parametrize("name", ["pipe", "socket", "/dev/zero", "empty", "", "a" * 300, "a/" * 2500, "s3://b/k"])
@pytest.mark.parametrize("flag", ["--checkpoint_dir", "--output_dir"])
def test_a_folder_that_cannot_be_written_is_one_line(folder: None, flag: str, name: str) -> None:
    message = refusal(lambda: until_work_starts(flag, name))

    assert message is not None
    check_message(message, flag)


@pytest.mark.parametrize("seed", ["-1", "4294967296", "18446744073709551616", "9" * 5000, "1.5", "null", "x"])
def test_a_seed_that_numpy_does_not_take_is_one_line(folder: None, seed: str) -> None:
    message = refusal(lambda: until_work_starts("--seed", seed))

    assert message is not None
    assert message.startswith("--seed ")
    check_message(message, "--seed")
