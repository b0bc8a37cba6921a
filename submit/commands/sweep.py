"""``python -m submit sweep``: sends a training many times, with hyperparameters that HyperDrive draws."""

import argparse
from collections.abc import Sequence

from submit.commands.flags import add_job_flags, count, job_options
from submit.options import SweepOptions
from submit.preflight.checks import check_job
from submit.prices import read_prices
from submit.sdk import choose_sdk, describe_choice
from submit.submission import cost_without_workspace, send_checked_sweep, show_request
from submit.sweep.describe import describe_sweep, parameter
from submit.sweep.drawn_values import check_drawn_values, with_first_values
from submit.sweep.validation import check_sweep

TAKES_TRAINING_FLAGS = True
EXAMPLE = """
example:
  python -m submit sweep --param 'learning_rate=loguniform(0.0001,0.1)' \\
    --param 'batch_size=choice(32,128)' --metric val_accuracy --goal maximize \\
    --max_runs 20 --max_concurrent 4 --dataset cifar10 --data.val_split 5000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job_flags(parser)
    parser.epilog = f"{parser.epilog}{EXAMPLE}"
    _add_space(parser.add_argument_group("sweep"))
    _add_stopping(parser.add_argument_group("early stopping"))


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the sweep is sent."""
    sdk, chosen = choose_sdk(options.sdk), describe_choice(options.sdk)
    prices = read_prices(options.prices)
    sweep = describe_sweep(job_options(options), sweep_options(options), training, sdk.job_extra)
    check_sweep(sweep, training)
    check_job(sweep.job, sdk, with_first_values(training, sweep), options.conda_file)
    sdk.require_sweeps()
    check_drawn_values(training, sweep)
    if options.dry_run:
        show_request(sdk.sweep_request(sweep), chosen, cost_without_workspace(sweep.job, prices, sweep.max_runs))
        return 0
    send_checked_sweep(sweep, sdk.open_workspace(options.workspace), prices, chosen)
    return 0


def sweep_options(given: argparse.Namespace) -> SweepOptions:
    """The options that the flags of a sweep mean."""
    return SweepOptions(
        parameters=tuple(given.param),
        sampling=given.sampling,
        metric=given.metric,
        goal=given.goal,
        max_runs=given.max_runs,
        max_concurrent=given.max_concurrent,
        policy=given.policy,
        slack_factor=given.slack_factor,
        evaluation_interval=given.evaluation_interval,
        delay_evaluation=given.delay_evaluation,
    )


def _add_space(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--param",
        type=parameter,
        action="append",
        required=True,
        metavar="NAME=...",
        help="a flag of the training and its values: choice(A,B,...), uniform(A,B), loguniform(A,B) or "
        "quniform(A,B,STEP), from A to B; quote it, and give one for each flag",
    )
    group.add_argument(
        "--sampling",
        choices=("grid", "random", "bayesian"),
        default="random",
        help="how values are drawn (default: random)",
    )
    group.add_argument(
        "--metric", required=True, metavar="NAME", help="the metric that compares runs, such as val_accuracy"
    )
    group.add_argument("--goal", choices=("maximize", "minimize"), required=True, help="which value is best")
    group.add_argument("--max_runs", type=count, metavar="N", help="maximum number of runs (default: all of a grid)")
    group.add_argument(
        "--max_concurrent", type=count, metavar="N", help="maximum number of runs at a time (default: all, 100 at most)"
    )


def _add_stopping(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policy",
        choices=("none", "bandit", "median"),
        default="none",
        help="which runs are ended early (default: none)",
    )
    group.add_argument(
        "--slack_factor", type=_share, metavar="X", help="for bandit: the share by which a run may fall behind the best"
    )
    group.add_argument(
        "--evaluation_interval", type=count, metavar="N", help="compare at every Nth report of the metric (default: 1)"
    )
    group.add_argument(
        "--delay_evaluation", type=count, metavar="N", help="compare at no report before the Nth (default: 0)"
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number above 0, such as 0.1")
    return share
