"""Runs at the emulator as the user sees them: status, files, logs and models."""

import json
import os
import subprocess
import sys

import pytest

from submit.emulator.workspace import SCOPE
from tests.support.emulator_users import FILES, User, user

pytestmark = pytest.mark.slow

__all__ = ["user"]  # the fixture

FOLLOW = """
run = Run(experiment, "job_1")
print("ready", flush=True)
for line in sys.stdin:
    print(run.get_status(), "startTimeUtc" in run.get_details(), "endTimeUtc" in run.get_details(), flush=True)
try:
    run.wait_for_completion()
except Exception as error:
    print(type(error).__name__, "Killed by the kernel" in str(error))
"""


def test_a_run_has_the_status_that_the_platform_sets(user: User) -> None:
    run_id = user.submit("job_1")
    seen = []

    with user.start(FOLLOW) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for status in ("Preparing", "Queued", "Running", "Finalizing", "Failed"):
            user.service.set_run_status(run_id, status, "Killed by the kernel" if status == "Failed" else None)
            process.stdin.write("\n")
            process.stdin.flush()
            seen.append(process.stdout.readline().split())
        out, error = process.communicate(timeout=60)

    assert process.returncode == 0, error
    assert seen == [
        ["Preparing", "False", "False"],
        ["Queued", "False", "False"],
        ["Running", "True", "False"],
        ["Finalizing", "True", "False"],
        ["Failed", "True", "True"],
    ]
    assert out == "ActivityFailedException True\n"


def test_an_unknown_status_is_refused(user: User) -> None:
    run_id = user.submit("job_1")

    with pytest.raises(ValueError, match="status is 'Done'; expected one of NotStarted, Starting, "):
        user.service.set_run_status(run_id, "Done")

    assert user.service.run(run_id).status == "Queued"


def test_a_canceled_run_has_ended_and_a_completed_run_stays_completed(user: User) -> None:
    user.does("submit()\nsubmit()")
    first, second = (job.run_id for job in user.service.jobs)
    user.service.set_run_status(second, "Completed")
    script = """
def cancel(name):
    run = ws.get_run(name)
    run.cancel()
    return run.get_status()
"""

    result = user.result(f"{script}print(json.dumps([cancel({first!r}), cancel({second!r})]))")

    assert result == ["Canceled", "Completed"]
    assert user.service.run(first).ended is not None


def test_the_runs_of_an_experiment_are_listed_and_filtered(user: User) -> None:
    for number in range(103):
        user.submit(f"job_{number}")
    user.service.set_run_status("job_7", "Running")
    user.ask("PATCH", f"/history/v1.0{SCOPE}/experiments/exp/runs/job_9", {"tags": {"k": "v"}, "properties": {"p": ""}})
    user.service.new_run("other")
    script = """
def found(**wanted):
    return [run.id for run in Run.list(experiment, **wanted)]

print(json.dumps([
    [run.id for run in experiment.get_runs()], found(status="Running"), found(status="Failed"), found(tags="k"),
    found(tags={"k": "v"}, status="Queued"), found(tags={"k": "w"}), found(properties="p"),
    len(found(type="azureml.scriptrun")),
]))
"""

    everything, *filtered = user.result(script)

    assert everything[:2] == ["job_7", "job_102"]  # the last one to start, and of those that wait the last submitted
    assert sorted(everything) == sorted(f"job_{number}" for number in range(103))
    assert filtered == [["job_7"], [], ["job_9"], ["job_9"], [], ["job_9"], 103]


def test_files_and_logs_of_a_run_are_listed_downloaded_and_followed(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.set_run_status(run_id, "Running")
    user.service.add_artifact(run_id, "outputs/model.pt", b"\x00weights")
    user.service.add_artifact(run_id, "outputs/sub/notes.txt", b"notes")
    user.service.add_artifact(run_id, "user_logs/std_log.txt", b"first line\n")
    script = """
run = ws.get_run("job_1")
files = run.get_file_names()
run.download_files("outputs", "down")
run.download_file("outputs/model.pt", "model.pt")
run.get_all_logs("logs")
print(json.dumps(files), flush=True)
run.wait_for_completion(show_output=True)
"""

    with user.start(script) as process:
        assert process.stdout is not None
        files = json.loads(process.stdout.readline())
        followed = [next(line for line in process.stdout if line == "first line\n")]
        user.service.add_artifact(run_id, "user_logs/std_log.txt", b"first line\nlast line\n")
        followed.append(next(line for line in process.stdout if line.endswith("line\n")))
        user.service.set_run_status(run_id, "Completed")
        _, error = process.communicate(timeout=60)

    assert process.returncode == 0, error
    assert files == ["outputs/model.pt", "outputs/sub/notes.txt", "user_logs/std_log.txt"]
    assert followed == ["first line\n", "last line\n"]
    assert (user.folder / "model.pt").read_bytes() == b"\x00weights"
    assert (user.folder / "down/outputs/sub/notes.txt").read_bytes() == b"notes"
    assert (user.folder / "logs/user_logs/std_log.txt").read_text() == "first line\n"


MODELS = """
run = ws.get_run("job_1")
run.register_model("net", "outputs/model.pt", tags={"val_acc": "0.5"}, properties={"p": "1"}, description="first")
run.register_model("net", "outputs/model.pt", tags={"val_acc": "0.7"})
Model.register(ws, "src/train.py", "script", tags={"kind": "script"})
try:
    Model(ws, "none")
except Exception as error:
    none = str(error)
def found(**wanted):
    return [model.id for model in Model.list(ws, **wanted)]
print(json.dumps({
    "models": [(model.id, model.tags, model.run_id) for model in Model.list(ws)],
    "latest": found(name="net", latest=True), "tagged": found(tags=[["val_acc", "0.5"]]),
    "having": found(tags=["kind"]), "of run": found(run_id="job_1"), "last": Model(ws, "net").version,
    "first": Model(ws, "net", version=1).description,
    "downloaded": Model(ws, id="net:1").download("net"), "script": Model(ws, "script").download("other"), "none": none,
}))
"""


def test_models_are_registered_listed_and_downloaded(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.add_artifact(run_id, "outputs/model.pt", b"\x00weights")

    result = user.result(MODELS)

    assert result["models"] == [
        ["script:1", {"kind": "script"}, None],
        ["net:2", {"val_acc": "0.7"}, run_id],
        ["net:1", {"val_acc": "0.5"}, run_id],
    ]
    assert (result["latest"], result["tagged"], result["having"]) == (["net:2"], ["net:1"], ["script:1"])
    assert result["of run"] == ["net:2", "net:1"]
    assert (result["last"], result["first"]) == (2, "first")
    assert (user.folder / result["downloaded"]).read_bytes() == b"\x00weights"
    assert (user.folder / result["script"]).read_bytes() == FILES["train.py"]
    assert "ModelNotFound" in result["none"]
    assert [model.name for model in user.service.models] == ["net", "net", "script"]


def test_the_user_sees_what_a_submitted_run_reports(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.set_run_status(run_id, "Running")
    environment = {"PATH": os.environ["PATH"]} | user.service.job_environment(run_id, user.folder / "node")
    job = (
        "from azureml.core import Run; run = Run.get_context(); run.log('loss', 0.5); run.tag('k', 'v'); run.complete()"
    )

    subprocess.run([sys.executable, "-c", job], env=environment, cwd=user.folder, check=True, timeout=60)
    result = user.result("run = ws.get_run('job_1')\nprint(json.dumps([run.get_metrics(), run.get_tags()]))")

    assert result == [{"loss": 0.5}, {"k": "v"}]
