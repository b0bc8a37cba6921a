"""What a job gets on a low-priority cluster, so that it goes on when Azure has taken its nodes away."""

from collections.abc import Sequence
from dataclasses import replace

from lightning_app.command_line.flags import flag_names
from submit.job import CHECKPOINT_PATH, DatastorePath, Job
from submit.preflight.findings import Finding, note, warning

VARIABLE = "LIGHTNING_APP_LOW_PRIORITY"  # the training watches for the notice of an eviction
CHECKPOINT_DIR = "--checkpoint_dir"
RUN_ID = "{run-id}"  # Azure ML puts it in
FOLDER = f"lightning-azureml/{RUN_ID}"  # of the default datastore


def for_low_priority(job: Job) -> Job:
    """The job, with a notice to watch for and a folder for its checkpoints. What the user has set stays."""
    job = replace(job, environment_variables={VARIABLE: "1", **job.environment_variables})
    if has_checkpoint_dir(job.command):
        return job
    folder = DatastorePath(None, FOLDER, "mount")
    return replace(job, command=(*job.command, CHECKPOINT_DIR, CHECKPOINT_PATH), checkpoints=folder)


def has_checkpoint_dir(command: Sequence[str]) -> bool:
    return CHECKPOINT_DIR in flag_names(command)


def about_evictions(given: str, job: Job) -> Finding:
    """What a user should know of a low-priority cluster; ``given`` names it."""
    taken = f"{given}: Azure may take its low-priority nodes away; Azure ML then starts the job again, which continues"
    if has_checkpoint_dir(job.command):
        return warning(
            f"{taken} from {CHECKPOINT_DIR}; if that is a folder of the node it is lost with it: leave the flag out, "
            "and the job gets a folder of the datastore"
        )
    where = FOLDER.replace(RUN_ID, "RUN")
    return note(f"{taken} from the checkpoints that it copies to {where} in the workspace's default datastore")
