"""``python -m lightning_app report RUN [RUN ...]``: writes the report of runs as one HTML file."""

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.report.page import GENERATOR, page
from lightning_app.report.run_content import is_run, read_run
from lightning_app.run_folder import RunFolder


def main(words: Sequence[str]) -> None:
    """Writes the report and prints where it is.

    Raises:
        UsageError: A folder holds no run, or the file can't be written.
    """
    given = _parser().parse_args(words)
    print(report(list(dict.fromkeys(given.runs)), given.output))


def report(folders: Sequence[Path], output: Path | None) -> str:
    """Writes the report of run folders, and returns a line that says where it is.

    Args:
        folders: Of the runs.
        output: The file. None: ``report.html``, in the folder of a single run or else in the current folder.

    Raises:
        UsageError: A folder holds no run, or the file can't be written.
    """
    for folder in folders:
        if not is_run(folder):
            raise UsageError(f"report {str(folder)!r}: no run in it; expected the folder of a run, such as outputs")
    file = output or (RunFolder(folders[0]).report if len(folders) == 1 else Path("report.html"))
    if output is None and not _may_replace(file):
        raise UsageError(f"{str(file)!r} exists and isn't a report; give another file by --output")
    write_report(folders, file)
    return f"Report: {file} ({file.stat().st_size / 1000:,.0f} kB)"


def write_report(folders: Sequence[Path], file: Path) -> None:
    """Writes the report of run folders; the file is complete or not there.

    Raises:
        UsageError: The file can't be written.
    """
    runs = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    content = page(runs).encode("utf-8", "replace")  # a name of a file may be any bytes
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise UsageError(
            f"{str(file)!r}: can't be written ({error.strerror}); give another file by --output"
        ) from error


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders as they were given, which differ; the one in which the program runs by its whole path."""
    return [str(folder if folder.name else folder.resolve()) for folder in folders]


def _may_replace(file: Path) -> bool:
    try:
        with file.open("rb") as existing:
            return GENERATOR.encode() in existing.read(4096)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_app report",
        description="Writes one HTML file that shows a run: curves, results, settings, environment, and where the time "
        "went. For several runs, it shows their curves over each other, and in which settings they differ. The file "
        "needs no network and no server. fit writes that of its own run.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, such as outputs")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the file (default: report.html, in the folder of a single run)"
    )
    return parser
