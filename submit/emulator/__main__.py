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
A loopback Azure ML service for one job, which keeps everything in memory and talks to nobody.

It prints `export NAME=value` lines; a shell that evaluates them is the job, as far as azureml-core can tell:

    python -m submit.emulator | tee job.sh
    . ./job.sh && python -m lightning_app.fit       # in another shell
"""
EPILOG = """\
While it runs ($AZUREML_SERVICE_ENDPOINT is its address):

    curl $AZUREML_SERVICE_ENDPOINT/rehearsal/state                  runs, models, requests that nobody knows
    curl $AZUREML_SERVICE_ENDPOINT/rehearsal/runs/$AZUREML_RUN_ID/metrics
    curl $AZUREML_SERVICE_ENDPOINT/rehearsal/faults -d '{"kind": "slow", "seconds": 0.5, "path": "/metric/"}'
    curl $AZUREML_SERVICE_ENDPOINT/rehearsal/faults -X DELETE       everything works again

Kinds of fault: slow, status, drop, silence, reject_metric, quota; a wrong one is answered with what was expected.
"""


def main() -> None:
    """Serves until Ctrl-C; requests are logged on standard error."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a shell's `&` leaves no other way to interrupt it
    service = AzureMLEmulator(options.port)
    try:
        service.start()
    except (OSError, OverflowError) as error:
        sys.exit(f"error: --port {options.port}: can't listen there ({error}); give another, or 0 for a free one")
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as home:
        _announce(service, options.experiment, Path(home))
        _wait()
        service.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m submit.emulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1 (default: a free port)")
    parser.add_argument("--experiment", default="rehearsal", help="the experiment of the run (default: rehearsal)")
    return parser


def _announce(service: AzureMLEmulator, experiment: str, home: Path) -> None:
    run = service.new_run(experiment)
    print(f"# A rehearsal of Azure ML listens on {service.url} with run {run.id}; Ctrl-C ends it.")
    for name, value in service.job_environment(run.id, home).items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()


def _wait() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(file=sys.stderr)


if __name__ == "__main__":
    main()
