"""Flags that several commands share, their value types, and the options that they mean."""

import argparse
import sys
from pathlib import Path

from submit.interface import Run, Workspace
from submit.options import EnvironmentOptions, JobOptions
from submit.sdk import NAMES, Name, choose_sdk, describe_choice

EPILOG = """\
All other flags are those of python -m lightning_app.fit and are passed to it,
such as --num_epochs 10. Put -- before flags that both programs have.
"""


def add_job_flags(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    _add_compute(parser)
    _add_data(parser)
    _add_environment(parser)
    _add_run(parser)


def job_options(given: argparse.Namespace) -> JobOptions:
    """The options that the flags mean; ``limit`` is a flag of ``rehearse`` only."""
    return JobOptions(
        experiment=given.experiment,
        compute=given.compute,
        source_directory=given.source_directory,
        nodes=given.nodes,
        processes_per_node=given.processes_per_node,
        launcher=given.launcher,
        dataset=given.dataset,
        access=given.access,
        environment=EnvironmentOptions(
            given.environment, given.conda_file, given.pip_requirements, given.docker_image, given.dockerfile
        ),
        env=tuple(given.env),
        shm_size=given.shm_size,
        max_duration=given.max_duration,
        limit=getattr(given, "limit", None),
        vm_size=given.vm_size,
        low_priority=given.low_priority,
        tags=tuple(given.tag),
        tensorboard=given.tensorboard,
        ssh_key=given.ssh_key,
    )


def _add_compute(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where")
    group.add_argument(
        "--compute",
        default="gpu-cluster",
        metavar="NAME",
        help="the cluster (default: gpu-cluster); with SDK v2 also serverless: nodes for this job only",
    )
    group.add_argument("--vm_size", metavar="SIZE", help="for --compute serverless: such as Standard_NC24ads_A100_v4")
    group.add_argument(
        "--low_priority",
        action="store_true",
        help="for --compute serverless: cheaper nodes, which Azure may take away during the job",
    )
    group.add_argument("--nodes", type=count, default=1, metavar="N", help="nodes of the cluster (default: 1)")
    group.add_argument(
        "--processes_per_node",
        type=count,
        default=1,
        metavar="N",
        help="processes per node, one for each GPU (default: 1)",
    )
    group.add_argument(
        "--launcher", choices=("pytorch", "mpi"), default="pytorch", help="what starts the processes (default: pytorch)"
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data, which becomes --data_path of the training")
    group.add_argument(
        "--dataset",
        metavar="WHAT",
        help="a registered dataset, NAME or NAME:VERSION; a folder of the default datastore, such as data/cifar10; or "
        "azureml://datastores/NAME/paths/FOLDER",
    )
    access = group.add_mutually_exclusive_group()
    access.add_argument("--mount", dest="access", action="store_const", const="mount", help="mount it (default)")
    access.add_argument(
        "--download_dataset", dest="access", action="store_const", const="download", help="copy it to each node"
    )
    parser.set_defaults(access="mount")


def _add_environment(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("environment (default: this project's dependencies on Azure ML's GPU image)")
    group.add_argument(
        "--environment",
        metavar="NAME[:VERSION]",
        help="an environment of the workspace, or of Azure ML: "
        "azureml://registries/azureml/environments/NAME/labels/latest",
    )
    group.add_argument("--conda_file", type=Path, metavar="FILE", help="a conda environment, with its Python version")
    group.add_argument(
        "--pip_requirements",
        type=Path,
        metavar="FILE",
        help="requirements for pip, or a lock file: uv.lock, pylock.toml, or with hashes",
    )
    group.add_argument("--docker_image", metavar="IMAGE", help="the base image; alone, it must have everything")
    group.add_argument("--dockerfile", type=Path, metavar="FILE", help="a Dockerfile of an image with everything")
    group.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable")
    group.add_argument("--shm_size", default="8g", metavar="SIZE", help="shared memory of a container (default: 8g)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    add_workspace(group)
    group.add_argument("--experiment", default="lightning-azureml", metavar="NAME", help="(default: lightning-azureml)")
    group.add_argument(
        "--max_duration", type=seconds, metavar="TIME", help="the job ends after it; such as 90m, 12h or 2d"
    )
    group.add_argument(
        "--source_directory",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder to upload (default: this folder)",
    )
    group.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="a tag of the run")
    group.add_argument(
        "--tensorboard", action="store_true", help="with SDK v2: TensorBoard on the job's logs, in its portal page"
    )
    group.add_argument(
        "--ssh_key", type=Path, metavar="FILE", help="with SDK v2: SSH to the nodes with this public key"
    )
    add_prices(group)
    group.add_argument("--dry_run", action="store_true", help="print the request and send nothing")


def find_run(given: argparse.Namespace) -> Run:
    """The run that the flags of ``add_run`` name."""
    return open_workspace(given).find_run(given.run_id)


def open_workspace(given: argparse.Namespace, needed: Name | None = None) -> Workspace:
    """The workspace that the flags of ``add_workspace`` name; in a terminal a line says by which SDK."""
    sdk = choose_sdk(given.sdk, needed)
    if sys.stderr.isatty():  # what a script collects there stays as it is
        print(describe_choice(given.sdk, needed), file=sys.stderr)
    return sdk.open_workspace(given.workspace)


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="RUN", help="id of the run, which submit run prints")
    add_workspace(parser)


def add_workspace(parser: argparse.ArgumentParser | argparse._ArgumentGroup, needed: Name | None = None) -> None:
    """Adds the flags that name the workspace; ``needed`` is the only SDK that has what the command does."""
    otherwise = "the installed one; v1 if both are" if needed is None else f"{needed}, which the command needs"
    parser.add_argument(
        "--workspace", type=Path, metavar="FILE", help="config.json (default: the one in this folder or above)"
    )
    parser.add_argument(
        "--sdk",
        choices=NAMES,
        help=f"v1: azureml-core, v2: azure-ai-ml (default: {otherwise})",
    )


def add_prices(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="prices by VM size, for the line about the cost (default: a table)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a whole number of at least 1")
    return int(text)


def seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdecimal() or int(text[:-1]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number with its unit, such as 90m, 12h or 2d")
    return int(text[:-1]) * units[text[-1]]
