"""Values of flags, checked as they are read."""

import argparse


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a whole number of at least 1")
    return int(text)


def seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdecimal() or int(text[:-1]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number with its unit, such as 90m, 12h or 2d")
    return int(text[:-1]) * units[text[-1]]
