"""``python -m submit undeploy``: deletes an online endpoint, or one of its deployments."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from submit.commands.flags import add_workspace, open_workspace
from submit.errors import exit_status
from submit.sdk import NEEDED_BY_ENDPOINTS, choose_sdk

if TYPE_CHECKING:
    from submit.deployment.deployment import Endpoint

TAKES_TRAINING_FLAGS = False
EPILOG = """\
example:
  python -m submit undeploy --endpoint birds --dry_run
  python -m submit undeploy --endpoint birds --deployment blue
  python -m submit undeploy --endpoint birds

It needs SDK v2. The model and the scoring code stay in the workspace.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--endpoint",
        required=True,
        metavar="NAME",
        help="the endpoint, which is deleted with all its deployments, also if they get requests",
    )
    parser.add_argument(
        "--deployment", metavar="NAME", help="delete this deployment only; refused while it gets requests"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="ask the workspace what would be deleted, and delete nothing"
    )
    add_workspace(parser, NEEDED_BY_ENDPOINTS)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when what was to be deleted is gone."""
    return exit_status(lambda: _run(options), "Azure ML continues; az ml online-endpoint list shows what is left")


def _run(options: argparse.Namespace) -> int:
    from submit.deployment.checks import name_findings
    from submit.deployment.deleting import delete, find_deletable
    from submit.preflight.findings import report_findings

    choose_sdk(options.sdk, NEEDED_BY_ENDPOINTS).require_deployments()
    report_findings(name_findings(options.endpoint, options.deployment))
    workspace = open_workspace(options, NEEDED_BY_ENDPOINTS)
    endpoint = find_deletable(workspace, options.endpoint, options.deployment)
    what = _text(endpoint, options.deployment)
    if options.dry_run:
        print(f"Would delete {what}; nothing is deleted.")
        return 0
    print(f"Deleting {what}.", file=sys.stderr, flush=True)  # it takes minutes
    delete(workspace, endpoint.name, options.deployment)
    print(f"Deleted {what}.")
    if options.deployment and len(endpoint.traffic) == 1:
        print(f"It was the last one; the endpoint: python -m submit undeploy --endpoint {endpoint.name}")
    return 0


def _text(endpoint: "Endpoint", deployment: str | None) -> str:
    if deployment is not None:
        return f"{endpoint.name}/{deployment}, which gets no requests"
    shares = ", ".join(f"{name} ({share} % of the requests)" for name, share in sorted(endpoint.traffic.items()))
    return f"the endpoint {endpoint.name} with its deployments: {shares or 'none'}"
