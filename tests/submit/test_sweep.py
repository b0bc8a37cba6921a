"""``python -m submit sweep``: its description, and what it refuses."""

import shlex
import subprocess
import sys

import pytest

from submit.commands.flags import job_options
from submit.commands.sweep import sweep_options
from submit.errors import PreflightError, SubmitError
from submit.main import parse_command
from submit.sweep.describe import describe_sweep
from submit.sweep.drawn_values import check_drawn_values
from submit.sweep.sweep import EarlyStopping, Parameter
from submit.sweep.validation import check_sweep
from submit.v1.job import build_request as request_of_job
from tests.support.commands import ROOT, environment
from tests.support.sweeps import BEST, RATE, require_hyperdrive, sweep_of

pytestmark = pytest.mark.slow


def check(flags: str) -> None:
    _, options, training = parse_command(["sweep", *shlex.split(flags)])
    check_sweep(describe_sweep(job_options(options), sweep_options(options), training), training)


def test_a_sweep_is_what_the_flags_say() -> None:
    sweep = sweep_of(
        f"{RATE} --param model.gamma=uniform(0.1,0.5) --param batch_size=quniform(16,128,16) --sampling random "
        "--metric val_accuracy --goal maximize --max_runs 20 --max_concurrent 4 --policy bandit --slack_factor 0.1 "
        "--evaluation_interval 2 --delay_evaluation 5 --nodes 2 --dataset cifar10 --num_epochs 3"
    )

    assert sweep.parameters == (
        Parameter("learning_rate", "choice", (0.001, 0.01)),
        Parameter("model.gamma", "uniform", (0.1, 0.5)),
        Parameter("batch_size", "quniform", (16, 128, 16)),
    )
    assert (sweep.sampling, sweep.metric, sweep.goal) == ("random", "val_accuracy", "maximize")
    assert (sweep.max_runs, sweep.max_concurrent) == (20, 4)
    assert sweep.stopping == EarlyStopping("bandit", 2, 5, 0.1)
    assert sweep.job.nodes == 2
    assert sweep.job.command[3:11] == (
        *("--num_epochs", "3", "--learning_rate", "{sweep.learning_rate}"),
        *("--model.gamma", "{sweep.model.gamma}", "--batch_size", "{sweep.batch_size}"),
    )


def test_a_grid_has_as_many_runs_as_combinations() -> None:
    flags = f"{RATE} --param batch_size=choice(32,64,128) {BEST} --sampling grid"

    assert (sweep_of(flags).max_runs, sweep_of(flags).max_concurrent) == (6, 6)
    assert sweep_of(f"{flags} --max_runs 4").max_runs == 4


def test_the_values_of_a_choice_are_numbers_or_texts_and_not_both() -> None:
    numbers = sweep_of(f"--param a=choice(1,1e-3) {BEST} --max_runs 2").parameters[0]
    texts = sweep_of(f"--param 'model=choice(CifarNet, ResNetTransfer)' {BEST} --max_runs 2").parameters[0]
    both = sweep_of(f"--param a=choice(0.5,none) {BEST} --max_runs 2").parameters[0]

    assert (numbers.arguments, texts.arguments) == ((1, 0.001), ("CifarNet", "ResNetTransfer"))
    assert both.arguments == ("0.5", "none")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (f"--param learning_rate=0.1 {BEST}", "expected NAME=choice(A,B,...), NAME=uniform(A,B)"),
        (f"--param learning_rate=normal(0,1) {BEST}", "expected NAME=choice(A,B,...), NAME=uniform(A,B)"),
        (f"--param=--learning_rate=choice(1) {BEST}", "NAME being a flag of the training without its dashes"),
        (f"--param a=choice() {BEST}", "the value '' can't be in a command"),
        (f"--param 'a=choice(x;y)' {BEST}", "the value 'x;y' can't be in a command"),
        (f"--param a=choice(1,1) {BEST}", "expected each value once"),
        (f"--param a=uniform(0.1) {BEST}", "uniform takes the smallest value, the largest value, all numbers"),
        (f"--param a=uniform(0,nan) {BEST}", "uniform takes the smallest value, the largest value, all numbers"),
        (f"--param a=uniform(2,1) {BEST}", "2 isn't less than 1"),
        (f"--param a=loguniform(-9,-2) {BEST}", "the largest value themselves, such as loguniform(0.0001,0.1)"),
        (f"--param a=quniform(1,9) {BEST}", "the smallest value, the largest value, the step"),
        (f"--param a=quniform(1,9,0.5) {BEST}", "HyperDrive accepts an integer step of 1 or more, found 0.5"),
        (f"{RATE} --goal minimize", "the following arguments are required: --metric"),
        (f"{RATE} --metric train_loss --goal best", "--goal: invalid choice: 'best'"),
        (f"{RATE} {BEST}", "--sampling random: never ends by itself; give --max_runs"),
        (f"{RATE} {BEST} --max_runs 0", "'0' given; expected a whole number of at least 1"),
        (f"{RATE} {BEST} --max_runs 4 --policy bandit", "--policy bandit: give --slack_factor"),
        (f"{RATE} {BEST} --max_runs 4 --policy median --slack_factor 1", "--slack_factor: is only for --policy bandit"),
        (f"{RATE} {BEST} --max_runs 4 --policy bandit --slack_factor -1", "expected a number above 0"),
        (f"{RATE} {BEST} --max_runs 4 --delay_evaluation 2", "--delay_evaluation: is only for a --policy"),
        (f"--param trainer.devices=choice(1,2) {BEST} --max_runs 2", "--processes_per_node sets it for the launcher"),
    ],
)
def test_impossible_options_are_reported(flags: str, message: str) -> None:
    with pytest.raises(SubmitError) as error:
        sweep_of(flags)

    assert message in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--metric val_acc --goal maximize --max_runs 4", "the model doesn't log it; did you mean val_accuracy?"),
        ("--metric auc --goal maximize --max_runs 4", "expected one of train_loss, train_accuracy, val_loss"),
        ("--metric auc --goal maximize --max_runs 4 --model ResNetTransfer", "--metric auc: the model doesn't log it"),
        (f"{BEST} --param momentum=uniform(0,1) --sampling grid", "--param momentum: uniform has no grid"),
        (
            f"{BEST} --max_runs 40 --sampling bayesian --policy median",
            "--policy median: HyperDrive has no early stopping with --sampling bayesian",
        ),
        (
            f"{BEST} --param momentum=loguniform(0.1,1) --max_runs 40 --sampling bayesian",
            "--param momentum: --sampling bayesian accepts choice, uniform, quniform; found loguniform",
        ),
        (f"{BEST} --max_runs 4 --max_concurrent 5", "--max_concurrent 5: more than the 4 runs of the sweep"),
        (f"{BEST} --max_runs 400 --max_concurrent 101", "--max_concurrent 101: HyperDrive accepts 100 at most"),
        (f"{BEST} --max_runs 1001", "1001 runs: HyperDrive accepts 1000 at most"),
        (f"{BEST} --max_runs 4 --learning_rate 0.1", "--learning_rate: --param draws its values; leave it out"),
        (
            f"{BEST} --max_runs 4 --model.learning_rate=1",
            "--learning_rate: --param draws its values; leave it out",
        ),
        (f"{BEST} --max_runs 4 --param learning_rate=uniform(1,2)", "--param learning_rate: given twice"),
        (f"{BEST} --max_runs 4 --param a.b=choice(1) --param a_b=choice(1)", "--param a_b: given twice"),
    ],
)
def test_what_hyperdrive_does_not_accept_is_refused(flags: str, message: str) -> None:
    with pytest.raises(PreflightError) as error:
        check(f"{RATE} {flags}")

    assert message in str(error.value)
    assert len(error.value.reasons) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--metric val_accuracy --goal maximize",
            "--metric val_accuracy: is logged only with --data.val_split N or if",
        ),
        ("--metric val_accuracy --goal maximize --data.val_split 0", "--metric val_accuracy: is logged only with"),
        ("--metric val_accuracy --goal maximize --data.val_split 5000", ""),
        ("--metric val_loss --goal maximize --data.val_split=5000", "--goal maximize: is unusual for val_loss"),
        (
            "--metric test_loss --goal minimize --policy median",
            "test_loss is logged only once, at the end, so no run ends early",
        ),
        ("--metric auc --goal maximize --model my_module.MyModel", "can't be checked for my_module.MyModel"),
        (f"{BEST} --sampling bayesian", "--max_runs 4: for --sampling bayesian 20 or more are recommended"),
        (f"{BEST} --sampling grid --param momentum=choice(1,2,3)", "--max_runs 4: the grid has 6 combinations"),
        (BEST, ""),
    ],
)
def test_what_may_be_meant_otherwise_is_reported(flags: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(f"{RATE} --max_runs 4 {flags}")

    err = capsys.readouterr().err
    assert err.count("warning: ") == bool(message)
    assert message in err


@pytest.mark.parametrize(
    ("parameters", "messages"),
    [
        ("learning_rat=choice(0.1,0.2)", ["--learning_rat: unknown flag; did you mean --learning_rate?"]),
        ("batch_size=choice(32,64,0)", ["--batch_size 0: expected a whole number from 1 to 1,000,000"]),
        (
            "batch_size=choice(32,1.5,x)",
            ["--batch_size 1.5: expected a whole number", "--batch_size x: expected a whole number"],
        ),
        (
            "batch_size=quniform(16,128,16)",
            [
                "--batch_size 16.0: expected a whole number; quniform draws numbers with a decimal point, so give",
                "--batch_size 128.0: expected a whole number; quniform",
            ],
        ),
        ("momentum=uniform(0.5,1)", ["--momentum 1.0: expected a number from 0 to below 1"]),
        ("momentum=quniform(0,2,1)", ["--momentum 2.0: expected a number from 0 to below 1"]),
        (
            "learning_rate=choice(0.1,0) --param momentum=choice(0.5,0.9,-1)",
            ["--learning_rate 0.0: expected a finite number above 0", "--momentum -1.0: expected a number from 0"],
        ),
        ("model=choice(CifarNet,CifarNe)", ["--model CifarNe: "]),
        ("model=choice(CifarNet,ResNetTransfer) --param learning_rate=loguniform(0.0001,0.1)", []),
    ],
)
def test_the_training_checks_each_value_that_can_be_drawn(parameters: str, messages: list[str]) -> None:
    sweep = sweep_of(f"--param {parameters} {BEST} --max_runs 2")

    reasons: tuple[str, ...] = ()
    try:
        check_drawn_values([], sweep)
    except PreflightError as error:
        reasons = error.reasons

    assert len(reasons) == len(messages)
    for reason, message in zip(reasons, messages, strict=True):
        assert reason.startswith(f"the training doesn't accept its flags: {message}")


def test_the_error_without_hyperdrives_sdk_has_the_extra() -> None:
    program = "import sys; sys.modules['azureml.train'] = None; from submit.main import main; sys.exit(main())"
    flags = f"sweep {RATE} {BEST} --max_runs 2 --dry_run".split()

    done = subprocess.run(
        [sys.executable, "-c", program, *flags], capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60
    )

    assert (done.returncode, done.stdout) == (2, "")
    error = "error: sweep: it needs the extra 'sweep': pip install 'lightning-azureml[sweep]'"
    assert done.stderr.splitlines()[-1] == error


def test_hyperdrive_is_asked_for_what_was_described() -> None:
    require_hyperdrive()
    from submit.v1.sweep import build_request

    space = f"{RATE} --param model.gamma=choice(a,b) --param batch_size=quniform(16,128,16)"
    median = build_request(sweep_of(f"{space} {BEST} --max_runs 40 --policy median --delay_evaluation 5"))
    bandit = build_request(sweep_of(f"{RATE} {BEST} --max_runs 4 --policy bandit --slack_factor 0.1"))
    bayesian = build_request(sweep_of(f"{RATE} {BEST} --max_runs 4 --sampling bayesian"))
    grid = build_request(sweep_of(f"{RATE} {BEST} --sampling grid"))
    logarithmic = build_request(sweep_of(f"--param a=loguniform(0.01,1) {BEST} --max_runs 4"))

    assert median["generator_config"]["parameter_space"] == {
        "learning_rate": ["choice", [[0.001, 0.01]]],
        "model_gamma": ["choice", [["a", "b"]]],
        "batch_size": ["quniform", [16, 128, 16]],
    }
    assert median["policy_config"] == {
        "name": "MedianStopping",
        "properties": {"evaluation_interval": 1, "delay_evaluation": 5},
    }
    assert bandit["policy_config"] == {
        "name": "Bandit",
        "properties": {"evaluation_interval": 1, "delay_evaluation": 0, "slack_factor": 0.1},
    }
    assert (bayesian["generator_config"]["name"], bayesian["policy_config"]) == (
        "BayesianOptimization",
        {"name": "Default"},
    )
    assert (grid["generator_config"]["name"], grid["max_total_jobs"]) == ("GRID", 2)
    assert logarithmic["generator_config"]["parameter_space"]["a"] == ["loguniform", [pytest.approx(-4.60517), 0.0]]


def test_a_run_of_a_sweep_is_a_job_but_for_its_command() -> None:
    require_hyperdrive()
    from submit.v1.sweep import build_request

    sweep = sweep_of(f"{RATE} {BEST} --max_runs 2 --nodes 2 --launcher mpi --dataset data/cifar10 --env A=b")

    configuration = request_of_job(sweep.job)["Configuration"]
    drawn = build_request(sweep)["platform_config"]["Definition"]["Overrides"]

    assert drawn.pop("command") == configuration.pop("command").replace(
        "'{sweep.learning_rate}'", "$AZUREML_SWEEP_learning_rate"
    )
    assert drawn == configuration
