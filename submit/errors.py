"""The errors of submit, each one line for the user, and the exit status of a command."""

import ast
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any


class SubmitError(Exception):
    """An option or a file can't be used; the message says what was given, what was expected, and what to do."""


class PreflightError(SubmitError):
    """Reasons not to send a job, one line per reason."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)


FAILED = 1
INTERRUPTED = 130  # as shells report Ctrl-C

_CONTENT = re.compile(r"Content: (b(['\"]).*\2)\s*$", re.DOTALL)  # how azureml-core shows a response of Azure
_LOST = re.compile(r"HTTPS?Connection(?:Pool)?\(host='([^']+)'")
_DETAILS = re.compile(r'^\s*\{\s*"error_details".*', re.DOTALL)  # how it shows an error of the execution service
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_DETAIL = re.compile(r"\(x\)\s*(.+)")  # how azure-ai-ml marks what is wrong, in a page about it
_QUERY = re.compile(r"(/[^\s?'\"]*)\?[^\s'\")]+")  # the query of a blob's address has its signature


_WHILE_READING = (TypeError, AttributeError, KeyError, IndexError, ValueError)


class ServiceError(Exception):
    """Azure or the connection to it failed; the message is one line."""


def exit_status(command: Callable[[], int], interrupted: str) -> int:
    """Runs a command and returns its exit status; an error is printed in one line."""
    logging.disable(logging.CRITICAL)  # azureml-core and azure-core also log what they raise, at length
    try:
        return command()
    except ServiceError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return INTERRUPTED


def describe_error(error: BaseException) -> str:
    """An error in one line, without the signatures of addresses."""
    error = cause_of(error)
    text = _COLOURS.sub("", str(getattr(error, "message", None) or error)).strip() or type(error).__name__
    if detail := _DETAIL.search(text):
        return " ".join(detail[1].split())
    if lost := _LOST.search(text):
        return f"no response from {lost[1]}"
    message = (_content_message(text).strip() or text).splitlines()[0]
    return _QUERY.sub(r"\1", message)


def cause_of(error: BaseException) -> BaseException:
    """The error response of Azure where azureml-core failed to read it, such as XML without a message."""
    found: BaseException | None = error if isinstance(error, _WHILE_READING) else None
    while found is not None and getattr(found, "response", None) is None:
        found = found.__cause__ or found.__context__
    return found or error


def _content_message(text: str) -> str:
    """The message within a text of azureml-core; empty if it has none that can be read."""
    content = _CONTENT.search(text)
    try:
        if _DETAILS.match(text):
            return _message(json.dumps(json.loads(text)["error_details"]).encode())
        return _message(ast.literal_eval(content[1])) if content else ""
    except (ValueError, SyntaxError, KeyError):
        return ""


def is_not_found(error: BaseException | None) -> bool:
    """Whether the response was a 404; azureml-core raises another error while it handles that one."""
    while error is not None:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            return True
        error = error.__cause__ or error.__context__
    return False


def _message(response: bytes) -> str:
    """The message of an error of the resource manager, which may only be in its details."""
    try:
        error = json.loads(response)["error"]
        details = [detail["message"] for detail in error.get("details") or []]
        return " ".join([*_unless_in(details, error["message"]), *details])
    except (ValueError, TypeError, KeyError):
        return response.decode(errors="replace")


def _unless_in(details: list[Any], message: str) -> list[str]:
    return [] if message in details else [message]
