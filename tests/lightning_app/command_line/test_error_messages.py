"""Errors that the user can fix become one line; other errors don't."""

import errno

import pytest
from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from lightning_app.command_line.error_messages import user_error_message


def test_a_users_error_is_found_below_the_error_of_a_library() -> None:
    try:
        try:
            raise DataError("--batch_size 0: expected\na whole number")
        except DataError as cause:
            raise RuntimeError("a library's own words") from cause
    except RuntimeError as error:
        message = user_error_message(error)

    assert message == "--batch_size 0: expected a whole number"


@pytest.mark.parametrize("value", ["a" * 5000, "a " * 2500, "ab\n" * 2000])
def test_a_librarys_error_with_a_long_value_keeps_its_start_and_its_end(value: str) -> None:
    message = user_error_message(MisconfigurationException(f"max_time: {value} expected DD:HH:MM:SS"))

    assert message is not None
    assert message.startswith("Lightning can't work with these settings: max_time: a")
    assert message.endswith(" expected DD:HH:MM:SS")
    assert len(message) < 900


def test_a_full_disk_is_the_users_error() -> None:
    message = user_error_message(OSError(errno.ENOSPC, "No space left on device"))

    assert message == (
        "--output_dir: No space left on device while writing; free some space and give the same command again"
    )


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.ENOENT, "No such file"), KeyboardInterrupt()])
def test_any_other_error_has_no_one_line_message(error: BaseException) -> None:
    assert user_error_message(error) is None
