"""The flags of commands about a run that was sent."""

import argparse
from pathlib import Path


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="RUN", help="the run's id, as submit run has printed it")
    add_workspace(parser)


def add_workspace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workspace", type=Path, metavar="FILE", help="config.json (default: that of this folder)")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
