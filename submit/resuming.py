"""A run that resumes another one: its command, and whether there is something left to do."""

from collections.abc import Collection, Sequence

from lightning_app.command_line.flags import flag_names, last_value, without_flag
from submit.describe import GIVEN_BY_SUBMIT, TRAINING
from submit.errors import SubmitError
from submit.job import DATA_PATH, RESUME_PATH
from submit.low_priority import CHECKPOINT_DIR

ARTIFACT_STORE = "workspaceartifactstore"  # a datastore of every workspace, with the files of its runs
_RESUME = "--resume"
_LIMITS = (("--num_epochs", "--trainer.max_epochs"), ("--trainer.max_steps",), ("--trainer.max_time",))


def require_free_flags(training: Sequence[str]) -> None:
    """Raises SubmitError for flags of the training that the recorded run decides."""
    for flag in flag_names(training):
        if flag in (_RESUME, *GIVEN_BY_SUBMIT):
            raise SubmitError(f"{flag}: the new run takes this from the run that it resumes; leave it out")


def resumed_command(
    recorded: Sequence[str], training: Sequence[str], data: Collection[str], checkpoints: str
) -> tuple[str, ...]:
    """The command of a run that resumes another one.

    Args:
        recorded: The words of the other run's command.
        training: Flags of the training that differ from the recorded ones.
        data: What stands for the path of the data in the recorded command.
        checkpoints: What stands there for the folder to which checkpoints are copied.

    Raises:
        SubmitError: submit didn't send the other run.
    """
    if tuple(recorded[: len(TRAINING)]) != TRAINING:
        raise SubmitError(f"the run's command is {' '.join(recorded)!r}; expected a run that submit run has sent")
    command = without_flag(recorded, _RESUME)
    if last_value(command, CHECKPOINT_DIR) == checkpoints:  # the new run has a folder of its own
        command = without_flag(command, CHECKPOINT_DIR)
    return (*(DATA_PATH if word in data else word for word in command), *training, _RESUME, RESUME_PATH)


def require_more_training(run_id: str, earlier: Sequence[str], training: Sequence[str]) -> None:
    """Checks that a completed run, with the words ``earlier`` of its command, has something left to do.

    Raises:
        SubmitError: Neither more epochs nor more steps nor more time are given.
    """
    for flags in _LIMITS:
        given, before = last_value(training, *flags), last_value(earlier, *flags)
        if given is None:
            continue
        if before is None or not (given.isdecimal() and before.isdecimal()) or int(given) > int(before):
            return
        raise SubmitError(f"{flags[0]} {given}: run {run_id} has completed {before}; give a higher number")
    epochs = last_value(earlier, *_LIMITS[0])
    what = f"its {epochs} epochs" if epochs else "its epochs"
    raise SubmitError(f"run {run_id} has completed {what}; to train on, give a higher --num_epochs")
