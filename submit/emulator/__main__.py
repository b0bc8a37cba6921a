"""``python -m submit.emulator``: an emulator for one job, or with ``--workspace`` for the scripts that send jobs."""

import argparse
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from submit.emulator.service import AzureMLEmulator
from submit.execution.nodes import METADATA_ADDRESS, node_name
from submit.execution.scratch import scratch_folder
from submit.execution.sweeper import Sweeper
from submit.execution.worker import Worker

DESCRIPTION = """\
An emulator of Azure ML on 127.0.0.1. It keeps everything in memory and connects
to nothing.

It prints `export NAME=value` lines. For azureml-core, a shell with these
variables is a job:

    python -m submit.emulator | tee /tmp/job.sh
    . /tmp/job.sh && python -m lightning_app.fit           # in another shell

With --workspace, a shell with these variables is logged in to a workspace, and
its jobs run on this machine:

    python -m submit.emulator --workspace . | tee /tmp/login.sh
    . /tmp/login.sh && python control_script.py             # of either SDK
    . /tmp/login.sh && python -m submit run --num_epochs 1  # this project's
"""
EPILOG = """\
While it runs, with $EMULATOR for the address that its first line names:

    curl $EMULATOR/emulator/state     runs, models, unknown requests
    curl $EMULATOR/emulator/runs/RUN/metrics
    curl $EMULATOR/emulator/faults -d '{"kind": "slow", "seconds": 0.5}'
    curl $EMULATOR/emulator/faults -X DELETE          ends all faults
    curl $EMULATOR/emulator/evictions -d '{"nodes": ["RUN_0"], "seconds": 30}'

Kinds of fault: slow, status, drop, silence, reject_metric, quota; an error says
what is expected.
"""
CLUSTERS = (("cpu-cluster", "Standard_DS3_v2", 4), ("gpu-cluster", "Standard_NC96ads_A100_v4", 4))
IMAGE = "emulator/environment:1"  # never pulled: jobs run in this program's Python


def main() -> None:
    """Serves until Ctrl-C; requests are logged on standard error."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    until_signal = _until_signal()
    emulator = _started(options.port)
    with scratch_folder("azureml-emulator-") as root:
        serving = _for_job(emulator, options.experiment, root)
        if options.workspace is not None:
            serving = _for_workspace(emulator, options, root)
        with serving:
            until_signal()
        emulator.stop()


def _started(port: int) -> AzureMLEmulator:
    try:
        emulator = AzureMLEmulator(port)
        emulator.start()
    except ModuleNotFoundError:
        print(
            "error: the emulator needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'", file=sys.stderr
        )
        sys.exit(2)
    except (OSError, OverflowError) as error:
        sys.exit(f"error: --port {port}: can't listen there ({error}); give another, or 0 for a free one")
    return emulator


@contextmanager
def _for_job(emulator: AzureMLEmulator, experiment: str, root: Path) -> Iterator[None]:
    run = emulator.new_run(experiment)
    print(f"# The Azure ML emulator listens on {emulator.url} with run {run.id}; Ctrl-C stops it.")
    address = {METADATA_ADDRESS: emulator.metadata_address(node_name(run.id, 0))}
    _print_variables(emulator.job_environment(run.id, root / "home") | address)
    yield


@contextmanager
def _for_workspace(emulator: AzureMLEmulator, options: argparse.Namespace, root: Path) -> Iterator[None]:
    config = emulator.write_workspace_config(options.workspace)
    for cluster in CLUSTERS:
        emulator.add_compute(*cluster)
    for name in options.environment:
        emulator.add_environment(name, IMAGE)
    print(f"# The Azure ML emulator listens on {emulator.url}; {config} names its workspace; Ctrl-C stops it.")
    _print_variables(emulator.workspace_environment(root / "home") | emulator.login_environment())
    with Worker(emulator, root / "jobs", options.jobs, logging.info), Sweeper(emulator):
        yield


def _print_variables(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()


def _until_signal() -> Callable[[], None]:
    """A function that waits for Ctrl-C or SIGTERM; one that came before, while the service was starting, counts.

    In the background, a shell has its jobs ignore SIGINT.
    """
    reader, writer = os.pipe()
    numbers = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, lambda *_: os.write(writer, b"\n"))

    def wait() -> None:
        os.read(reader, 1)
        for number in numbers:  # a second one ends it wherever it is
            signal.signal(number, signal.default_int_handler)
        print(file=sys.stderr)

    return wait


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m submit.emulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free port)")
    parser.add_argument("--experiment", default="emulator", help="experiment of the run (default: emulator)")
    group = parser.add_argument_group("workspace")
    group.add_argument(
        "--workspace", type=_folder, metavar="DIR", help="serve a workspace; its config.json is written to this folder"
    )
    group.add_argument("--jobs", type=int, default=1, metavar="N", help="jobs that run at a time (default: 1)")
    group.add_argument(
        "--environment",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment that the workspace has, such as AzureML-PyTorch-1.6-CPU; jobs run in this Python anyway",
    )
    return parser


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: no such folder")
    return Path(text)


if __name__ == "__main__":
    main()
