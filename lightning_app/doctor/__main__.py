"""``python -m lightning_app.doctor``: what training would do in this process, or in one whose environment is given."""

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
    """Returns 0 if training would start, 1 if it would refuse to, and 2 after wrong use of this command."""
    options = _parser().parse_args(arguments)
    try:
        _check_options(options)
        text, findings = _check_this_process(options) if options.environment is None else _check_file(options)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(text)
    return int(any(finding.fatal for finding in findings))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits


def _check_this_process(options: argparse.Namespace) -> tuple[str, list[Finding]]:
    from lightning_app.doctor.machine import check_machine  # not needed for a file

    diagnosis = diagnose(os.environ, options.num_nodes, options.devices)
    machine = check_machine(diagnosis, options.devices, options.data_path)
    findings = _sort([*diagnosis.findings, check_run_variables(os.environ), *machine.findings])
    lightning_starts_rest = diagnosis.launch is not None and diagnosis.launch.lightning_starts_rest
    devices = options.devices or (machine.devices if lightning_starts_rest else None)
    sections = [*_sections(os.environ, diagnosis, devices, machine.backend), *machine.sections]
    return render(sections, findings), findings


def _check_file(options: argparse.Namespace) -> tuple[str, list[Finding]]:
    file = _read_environment_file(options.environment)
    diagnosis = diagnose(file.environment, options.num_nodes, options.devices)
    findings = _sort([*diagnosis.findings, check_run_variables(file.environment)])
    source = "standard input" if options.environment == "-" else options.environment
    skipped = f", {file.skipped_lines} line{'s' * (file.skipped_lines != 1)} skipped" if file.skipped_lines else ""
    title = f"{len(file.environment)} variables from {source}{skipped}\n\n"
    return title + render(_sections(file.environment, diagnosis, options.devices, None), findings), findings


def _sections(
    environment: Mapping[str, str], diagnosis: Diagnosis, devices: int | None, backend: str | None
) -> list[Section]:
    launch, settings = diagnosis.launch, list[Row]()
    if launch is not None and not any(finding.fatal for finding in diagnosis.findings):
        settings = setting_rows(launch, devices, backend)
    return [
        Section("Launch", launch_rows(launch) if launch else variable_rows(environment)),
        Section("What training sets", settings),
        Section("Azure ML", run_rows(environment)),
    ]


def _sort(findings: Sequence[Finding | None]) -> list[Finding]:
    """Fatal ones first."""
    return sorted((finding for finding in findings if finding), key=lambda finding: not finding.fatal)


def _read_environment_file(source: str) -> EnvironmentFile:
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"--environment {source}: {error.strerror}; give a file with the output of env") from error
    try:
        return parse_environment(content.decode(errors="replace"))
    except UsageError as error:
        raise UsageError(f"--environment {source}: {error}") from error


def _check_options(options: argparse.Namespace) -> None:
    if options.environment is not None and options.data_path is not None:
        raise UsageError("--data_path is a folder of this machine, --environment is of another one; give one of them")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_app.doctor",
        description="Shows how this process was started, what training does with that, and which settings conflict. "
        "Exit status: 0 training would start, 1 it would refuse to, 2 wrong use of this command.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--environment",
        metavar="FILE",
        help="check the output of env in another process instead of this process and machine; - is standard input",
    )
    parser.add_argument("--num_nodes", type=_positive, metavar="N", help="the training's --trainer.num_nodes")
    parser.add_argument("--devices", type=_positive, metavar="N", help="the training's --trainer.devices")
    parser.add_argument("--data_path", type=Path, metavar="DIR", help="the training's --data_path, to be checked")
    return parser


if __name__ == "__main__":
    sys.exit(main())
