"""``python -m submit.emulator``: prints the environment of a job, and serves until it is interrupted."""

import argparse
import logging
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from submit.emulator.service import AzureMLEmulator

DESCRIPTION = """\
An emulator of Azure ML on 127.0.0.1 for one job. It keeps everything in memory and connects to nothing.

It prints `export NAME=value` lines. For azureml-core, a shell with these variables is the job:

    python -m submit.emulator | tee job.sh
    . ./job.sh && python -m lightning_app.fit       # in another shell
"""
EPILOG = """\
While it runs ($AZUREML_SERVICE_ENDPOINT is its address):

    curl $AZUREML_SERVICE_ENDPOINT/emulator/state                  runs, models, unknown requests
    curl $AZUREML_SERVICE_ENDPOINT/emulator/runs/$AZUREML_RUN_ID/metrics
    curl $AZUREML_SERVICE_ENDPOINT/emulator/faults -d '{"kind": "slow", "seconds": 0.5, "path": "/metric/"}'
    curl $AZUREML_SERVICE_ENDPOINT/emulator/faults -X DELETE       ends all faults

Kinds of fault: slow, status, drop, silence, reject_metric, quota; an error says what is expected.
"""


def main() -> None:
    """Serves until Ctrl-C; requests are logged on standard error."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # in the background, a shell ignores SIGINT
    try:
        emulator = AzureMLEmulator(options.port)
        emulator.start()
    except ModuleNotFoundError:
        print(
            "error: the emulator needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'", file=sys.stderr
        )
        sys.exit(2)
    except (OSError, OverflowError) as error:
        sys.exit(f"error: --port {options.port}: can't listen there ({error}); give another, or 0 for a free one")
    with tempfile.TemporaryDirectory(prefix="azureml-emulator-") as home:
        _print_environment(emulator, options.experiment, Path(home))
        _wait()
        emulator.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m submit.emulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free port)")
    parser.add_argument("--experiment", default="emulator", help="experiment of the run (default: emulator)")
    return parser


def _print_environment(emulator: AzureMLEmulator, experiment: str, home: Path) -> None:
    run = emulator.new_run(experiment)
    print(f"# The Azure ML emulator listens on {emulator.url} with run {run.id}; Ctrl-C stops it.")
    for name, value in emulator.job_environment(run.id, home).items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()


def _wait() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(file=sys.stderr)


if __name__ == "__main__":
    main()
