"""An exported model as a registered model, with its metrics and the run and the checkpoint that it comes from."""

from pathlib import Path

from submit.errors import SubmitError
from submit.interface import Run, Workspace
from submit.runs.exported import Exported, LocalFiles, RunFiles, check_exported
from submit.runs.model_labels import FittedLabels, data_text, fitted_labels
from submit.runs.register import RegisteredModel, checkpoint_hashes, registered
from submit.runs.retry import service_errors
from submit.runs.run_info import ENDED


def register_folder(
    workspace: Workspace, exported: Exported, folder: Path, run: Run | None, name: str, description: str | None
) -> RegisteredModel:
    """Registers an exported model of this machine; a run is the one whose checkpoint was exported.

    Raises:
        SubmitError: The run has no such checkpoint.
        ServiceError: Azure ML doesn't respond or refuses.
    """
    checkpoint = str(exported.checkpoint.get("file") or "")
    if run is not None:
        checkpoint = _checkpoint_of(run, exported, folder)
    fitted = _labels(exported, checkpoint, run)
    with service_errors(f"model {name}"):
        version = workspace.register_model(name, folder, fitted.labels, description)
    return registered(name, version, checkpoint, fitted)


def register_of_run(run: Run, name: str, description: str | None) -> RegisteredModel:
    """Registers the exported model among the files of a run.

    Raises:
        SubmitError: The run hasn't ended, has no exported model, or one whose files aren't those that were exported.
        ServiceError: Azure ML doesn't respond or refuses.
    """
    with service_errors(f"run {run.id}"):
        status = run.status()
    if status not in ENDED:
        raise SubmitError(f"run {run.id} is {status}; its files are complete only when it has ended")
    files = RunFiles(run)
    exported = check_exported(files)
    checkpoint = str(exported.checkpoint.get("file") or "")
    fitted = _labels(exported, checkpoint, run)
    with service_errors(f"model {name}"):
        version = run.register_model(name, files.folder, fitted.labels, description)
    return registered(name, version, checkpoint, fitted)


def read_folder(folder: Path) -> Exported:
    """The exported model in a folder; SubmitError if it isn't one, or has been changed."""
    return check_exported(LocalFiles(folder, f"--export {str(folder)!r}"))


def _checkpoint_of(run: Run, exported: Exported, folder: Path) -> str:
    """The path of the exported checkpoint among the run's files: the one with the same SHA-256."""
    with service_errors(f"the files of {run.id}"):
        known = checkpoint_hashes(run, run.paths())
    wanted = exported.checkpoint.get("sha256")
    for path, sha256 in known.items():
        if sha256 == wanted:
            return path
    names = ", ".join(known) or "none"
    own = f"{exported.checkpoint.get('file')} (SHA-256 {str(wanted)[:12]}...)"
    raise SubmitError(
        f"--export {str(folder)!r}: its checkpoint {own} is none of run {run.id}, whose checkpoints with a hash are: "
        f"{names}; give the run that it comes from, or none"
    )


def _labels(exported: Exported, checkpoint: str, run: Run | None) -> FittedLabels:
    content = exported.content
    origin = {
        "run_id": content.get("azureml_run"),
        "experiment": None,
        "checkpoint": checkpoint,
        "git_commit": content.get("git_commit"),
    }
    data = content.get("data_path")
    if run is not None:
        with service_errors(f"run {run.id}"):
            origin |= {"run_id": run.id, "experiment": run.experiment}
            origin["git_commit"] = origin["git_commit"] or run.commit()
            data = data_text(run.data()) or data
    details = {"data": data, "run_folder": content.get("run")} | exported.details()
    return fitted_labels(origin, details, exported.metrics)
