"""``python -m lightning_app.doctor``: what training would make of this process, or of a pasted environment."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_app.doctor.environment_file import EnvironmentFile, parse_environment
from lightning_app.doctor.findings import Diagnosis, Finding, check_run_variables, diagnose
from lightning_app.doctor.report import Row, Section, launch_rows, render, run_rows, setting_rows, variable_rows
from lightning_app.errors import UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where training starts, 1 where it would refuse to, 2 when the command can't work."""
    given = _parser().parse_args(arguments)
    try:
        _check_arguments(given)
        text, found = _from_machine(given) if given.environment is None else _from_file(given)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(text)
    return int(any(each.fatal for each in found))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end


def _from_machine(given: argparse.Namespace) -> tuple[str, list[Finding]]:
    from lightning_app.doctor.machine import check_machine  # a dump has nothing to do with this machine

    diagnosis = diagnose(os.environ, given.num_nodes, given.devices)
    live = check_machine(diagnosis, given.devices, given.data_path)
    found = _sorted([*diagnosis.contradictions, check_run_variables(os.environ), *live.contradictions])
    spawns = diagnosis.launch is not None and diagnosis.launch.lightning_starts_rest
    devices = given.devices or (live.devices if spawns else None)
    sections = [*_sections(os.environ, diagnosis, devices, live.backend), *live.sections]
    return render(sections, found), found


def _from_file(given: argparse.Namespace) -> tuple[str, list[Finding]]:
    dump = _read_environment_file(given.environment)
    diagnosis = diagnose(dump.environment, given.num_nodes, given.devices)
    found = _sorted([*diagnosis.contradictions, check_run_variables(dump.environment)])
    source = "standard input" if given.environment == "-" else given.environment
    lost = f", {dump.lost_lines} line{'s' * (dump.lost_lines != 1)} not understood" if dump.lost_lines else ""
    title = f"{len(dump.environment)} variables of {source}{lost}\n\n"
    return title + render(_sections(dump.environment, diagnosis, given.devices, None), found), found


def _sections(
    environment: Mapping[str, str], diagnosis: Diagnosis, devices: int | None, backend: str | None
) -> list[Section]:
    launch, settings = diagnosis.launch, list[Row]()
    if launch is not None and not any(each.fatal for each in diagnosis.contradictions):
        settings = setting_rows(launch, devices, backend)
    place = launch_rows(launch) if launch else variable_rows(environment)
    return [
        Section("Launch", place),
        Section("What training sets", settings),
        Section("Azure ML", run_rows(environment)),
    ]


def _sorted(found: Sequence[Finding | None]) -> list[Finding]:
    """Those that keep training from starting come first."""
    return sorted((each for each in found if each), key=lambda each: not each.fatal)


def _read_environment_file(source: str) -> EnvironmentFile:
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"--environment {source}: {error.strerror}; give a file with what env prints") from error
    try:
        return parse_environment(content.decode(errors="replace"))
    except UsageError as error:
        raise UsageError(f"--environment {source}: {error}") from error


def _check_arguments(given: argparse.Namespace) -> None:
    if given.environment is not None and given.data_path is not None:
        raise UsageError("--data_path is on this machine, and --environment of another one; give one of them")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_app.doctor",
        description="Tells how this process was started as one of a training's, what training makes of it, and what "
        "doesn't go together. Exit status: 0 in order, 1 training would refuse to start, 2 the command was used "
        "wrongly.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--environment",
        metavar="FILE",
        help="judge what env has printed in another process, and nothing of this machine; - is standard input",
    )
    parser.add_argument("--num_nodes", type=_positive, metavar="N", help="what --trainer.num_nodes will be")
    parser.add_argument("--devices", type=_positive, metavar="N", help="what --trainer.devices will be")
    parser.add_argument("--data_path", type=Path, metavar="DIR", help="what --data_path will be; looked at here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
