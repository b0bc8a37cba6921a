"""A job is described, checked, and shown or sent."""

from collections.abc import Sequence

from submit.cost import describe_cost
from submit.describe import describe_job
from submit.interface import Nodes, Run, Sdk, Workspace
from submit.job import SERVERLESS, Job
from submit.options import JobOptions
from submit.preflight.checks import check_job
from submit.preflight.findings import note, report_findings
from submit.prices import Prices
from submit.sweep.sweep import Sweep
from submit.training_flags import check_training_flags


def prepare_job(options: JobOptions, sdk: Sdk, training: Sequence[str]) -> Job:
    """Describes and checks a job, without a network.

    Raises:
        SubmitError: The job must not be sent.
    """
    job = describe_job(options, training, sdk.job_extra)
    check_job(job, sdk, training, options.environment.conda_file)
    check_training_flags(training, job.source_directory)  # last, because it takes seconds
    return job


def show_request(request: str, chosen: str, cost: str | None = None) -> None:
    """Prints a request, which is YAML, after comments about the SDK and the cost."""
    lines = [chosen, *([cost] if cost else [])]
    print("".join(f"# {line}\n" for line in lines) + request, end="")


def cost_without_workspace(job: Job, prices: Prices, runs: int = 1) -> str:
    """The line about the cost of a job, of whose nodes only the flags are known."""
    is_known = job.compute == SERVERLESS and job.vm_size is not None
    return describe_cost(job, Nodes(str(job.vm_size), None, job.low_priority) if is_known else None, prices, runs)


def send_checked(job: Job, workspace: Workspace, prices: Prices, chosen: str) -> Run:
    """Sends a job that the workspace can run, and prints its id and the address of its page.

    Before that a line says what it costs, and after it one which SDK was ``chosen``, and why.

    Raises:
        PreflightError: The workspace can't run the job, or doesn't respond; there is a line for each reason.
        SubmitError: Azure ML refuses the job.
    """
    report_findings(workspace.findings(job))
    report_findings([note(describe_cost(job, workspace.nodes(job), prices))])
    sent = workspace.send(job)
    _show_run(sent, chosen)
    return sent


def send_checked_sweep(sweep: Sweep, workspace: Workspace, prices: Prices, chosen: str) -> Run:
    """As ``send_checked``, for a sweep."""
    report_findings(workspace.findings(sweep.job))
    report_findings([note(describe_cost(sweep.job, workspace.nodes(sweep.job), prices, sweep.max_runs))])
    sent = workspace.send_sweep(sweep)
    _show_run(sent, chosen)
    return sent


def _show_run(run: Run, chosen: str) -> None:
    print(f"Run {run.id}\n{run.portal}", flush=True)
    report_findings([note(f"sent with {chosen}")])
