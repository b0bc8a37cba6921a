"""The errors of submit, each one line for the user, and the exit status that they mean."""

import ast
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any


class SubmitError(Exception):
    """Something about a job can't be as it was asked for; the message says what was given, expected, and to do."""


class PreflightError(SubmitError):
    """Reasons not to send a job, a line each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)


FAILED = 1
INTERRUPTED = 130  # as shells report Ctrl-C

_CONTENT = re.compile(r"Content: (b(['\"]).*\2)\s*$", re.DOTALL)  # how azureml-core shows an answer of Azure's
_LOST = re.compile(r"HTTPS?Connection(?:Pool)?\(host='([^']+)'")
_DETAILS = re.compile(r'^\s*\{\s*"error_details".*', re.DOTALL)  # how it shows one of the execution service's
_QUERY = re.compile(r"(/[^\s?'\"]*)\?[^\s'\")]+")  # in which the address of a blob carries its signature


class ServiceError(Exception):
    """Azure, or the way to it, failed; the message is one line."""


def exit_status(command: Callable[[], int], interrupted: str) -> int:
    """The exit status of a command; the user reads a line about what kept it from its end."""
    logging.disable(logging.CRITICAL)  # azureml-core and azure-core log at length what they raise as well
    try:
        return command()
    except ServiceError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return INTERRUPTED


def describe_error(error: BaseException) -> str:
    """One line, without the signatures that addresses carry."""
    text = str(getattr(error, "message", None) or error).strip() or type(error).__name__
    if lost := _LOST.search(text):
        return f"no answer from {lost[1]}"
    if _DETAILS.match(text):
        return _message(json.dumps(json.loads(text)["error_details"]).encode())
    content = _CONTENT.search(text)
    told = _message(ast.literal_eval(content[1])) if content else ""
    return _QUERY.sub(r"\1", (told.strip() or text).splitlines()[0])


def _message(answer: bytes) -> str:
    """What an error of the resource manager says, which may be in its details alone."""
    try:
        told = json.loads(answer)["error"]
        details = [detail["message"] for detail in told.get("details") or []]
        return " ".join([*_unless_in(details, told["message"]), *details])
    except (ValueError, TypeError, KeyError):
        return answer.decode(errors="replace")


def _unless_in(details: list[Any], message: str) -> list[str]:
    return [] if message in details else [message]
