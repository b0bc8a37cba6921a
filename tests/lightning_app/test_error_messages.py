"""Messages of the command line's parser become one line that names the flag."""

import pytest

from lightning_app.error_messages import parse_error_message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unrecognized arguments: --sed 3", "--sed: unknown flag; did you mean --seed?"),
        ("Unrecognized arguments: --zzzzz 3", "--zzzzz: unknown flag; --help lists them"),
        ("Unrecognized arguments: cifar", "cifar: expected a flag, such as --data_path DIR"),
        ("something new\n  of two lines", "something new of two lines"),
    ],
)
def test_an_error_becomes_one_line(message: str, expected: str) -> None:
    assert parse_error_message(message, []) == expected
