"""A job is described, checked, and shown."""

from collections.abc import Sequence

from submit.describe import describe_job
from submit.interface import Run, Sdk, Workspace
from submit.job import Job
from submit.options import JobOptions
from submit.preflight.checks import check_job
from submit.preflight.findings import report_findings
from submit.training_flags import check_training_flags


def prepare_job(options: JobOptions, sdk: Sdk, training: Sequence[str], *, dry_run: bool) -> Job | None:
    """Describes and checks a job; None after a dry run, which prints the request.

    Raises:
        SubmitError: The job must not be sent.
    """
    job = describe_job(options, training, sdk.job_extra)
    check_job(job, sdk, training, options.environment.conda_file)
    check_training_flags(training, job.source_directory)  # last, because it takes seconds
    if dry_run:
        print(sdk.request(job), end="")
        return None
    return job


def send_checked(job: Job, workspace: Workspace) -> Run:
    """Sends a job that the workspace can run, and prints its id and the address of its page.

    Raises:
        PreflightError: The workspace can't run the job, or doesn't respond; there is a line for each reason.
        SubmitError: Azure ML refuses the job.
    """
    report_findings(workspace.findings(job))
    sent = workspace.send(job)
    show_run(sent)
    return sent


def show_run(run: Run) -> None:
    print(f"Run {run.id}\n{run.portal}", flush=True)
