"""``python -m submit deploy``: deploys an exported model to a managed online endpoint."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from submit.commands.flags import add_prices, add_workspace, count, open_workspace
from submit.errors import exit_status
from submit.prices import read_prices
from submit.sdk import NEEDED_BY_ENDPOINTS, choose_sdk, describe_choice
from submit.submission import show_request

if TYPE_CHECKING:
    from submit.deployment.deployment import Endpoint

TAKES_TRAINING_FLAGS = False
INSTANCE_TYPE = "Standard_DS3_v2"
EPILOG = """\
example:
  python -m lightning_app export outputs
  python -m submit deploy outputs/export --endpoint birds --dry_run
  python -m submit deploy outputs/export --endpoint birds
  python -m submit deploy better/export --endpoint birds --deployment green \\
    --traffic 10

It needs SDK v2. The machines cost money until the endpoint is deleted:
  python -m submit undeploy --endpoint birds
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="folder that python -m lightning_app export has written, or that of its run; or azureml:NAME:VERSION",
    )
    parser.add_argument("--endpoint", required=True, metavar="NAME", help="it is created if there is none")
    parser.add_argument("--deployment", default="blue", metavar="NAME", help="name at the endpoint (default: blue)")
    parser.add_argument("--update", action="store_true", help="replace a deployment of this name")
    parser.add_argument(
        "--traffic",
        type=percent,
        metavar="N",
        help="its share of the endpoint's requests in percent; the others keep the rest in their proportion (default: "
        "100 for the first deployment, otherwise what it has)",
    )
    parser.add_argument(
        "--instance_type", default=INSTANCE_TYPE, metavar="SIZE", help=f"VM size (default: {INSTANCE_TYPE})"
    )
    parser.add_argument("--instance_count", type=count, default=1, metavar="N", help="machines (default: 1)")
    parser.add_argument(
        "--environment",
        metavar="NAME[:VERSION]",
        help="an environment with Azure ML's inference server (default: one with what the scoring code needs)",
    )
    parser.add_argument("--dry_run", action="store_true", help="print what would be sent, and send nothing")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="with --dry_run: write what az ml needs into this folder as well"
    )
    parser.add_argument(
        "--rehearse",
        type=Path,
        metavar="PICTURE",
        help="answer this picture with Azure ML's inference server on this machine, and send nothing",
    )
    parser.add_argument(
        "--server_python",
        type=Path,
        default=Path(sys.executable),
        metavar="PYTHON",
        help="for --rehearse: Python of the environment with the server (default: this one)",
    )
    add_prices(parser)
    add_workspace(parser, NEEDED_BY_ENDPOINTS)


def percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a whole number from 0 to 100")
    return int(text)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the deployment answers and has its traffic."""
    return exit_status(
        lambda: _run(options),
        f"Azure ML continues; az ml online-deployment list --endpoint-name {options.endpoint} shows how far it is, and "
        "what was created may cost money until submit undeploy deletes it",
    )


def _run(options: argparse.Namespace) -> int:
    from submit.cost import describe_deployment_cost
    from submit.deployment.deploying import DeploymentOptions, deploy, describe_deployment
    from submit.deployment.files import deployment_files, require_dry_run, write_files

    sdk = choose_sdk(options.sdk, NEEDED_BY_ENDPOINTS)
    sdk.require_deployments()
    require_dry_run(options.output, options.dry_run)
    prices = read_prices(options.prices)
    wanted = describe_deployment(
        DeploymentOptions(
            model=options.model,
            endpoint=options.endpoint,
            name=options.deployment,
            instance_type=options.instance_type,
            instance_count=options.instance_count,
            environment=options.environment,
        )
    )
    if options.rehearse is not None:
        from submit.deployment.rehearsal import rehearse

        print(rehearse(wanted, options.rehearse, options.server_python))
        return 0
    if options.dry_run:
        files = deployment_files(sdk, wanted)
        if options.output is not None:
            write_files(options.output, files)
        request = "---\n".join(f"# {name}\n{text}" for name, text in files.items())
        show_request(
            request, describe_choice(options.sdk, NEEDED_BY_ENDPOINTS), describe_deployment_cost(wanted, None, prices)
        )
        return 0
    endpoint = deploy(wanted, open_workspace(options, NEEDED_BY_ENDPOINTS), prices, options.traffic, options.update)
    print(_text(endpoint, wanted.name))
    return 0


def _text(endpoint: "Endpoint", deployment: str) -> str:
    shares = ", ".join(f"{name} {share} %" for name, share in sorted(endpoint.traffic.items()))
    return (
        f"{endpoint.name}/{deployment} answers at {endpoint.scoring_uri}\n"
        f"Traffic: {shares}\n"
        f"Key:     az ml online-endpoint get-credentials --name {endpoint.name}\n"
        f"Delete:  python -m submit undeploy --endpoint {endpoint.name}"
    )
