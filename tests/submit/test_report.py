"""``submit report``: the report of runs of the workspace, by either SDK."""

from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.submit_in_process import InProcess

ROW = '{"step": 4, "epoch": 0, "metrics": {"val_accuracy": %s}}\n'
CONFIG = "model:\n  init_args:\n    learning_rate: %s\n"
BEST = b'{"monitor": "val_accuracy", "score": 0.5, "epoch": 1, "step": 4}'


def add_run(service: AzureMLEmulator, accuracy: str, *folders: str) -> str:
    """A run with checkpoints, and a run folder in each of the places, which differ by a digit of the accuracy."""
    run_id = service.new_run("lightning-azureml").id
    for number, folder in enumerate(folders):
        value = f"{accuracy}{number}"
        service.add_artifact(run_id, f"{folder}/metrics.jsonl", (ROW % value).encode())
        service.add_artifact(run_id, f"{folder}/config.yaml", (CONFIG % value).encode())
        service.add_artifact(run_id, f"{folder}/checkpoints/best.json", BEST)
    service.add_artifact(run_id, "outputs/checkpoints/best.ckpt", b"large")
    service.set_run_status(run_id, "Completed")
    return run_id


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_a_report_shows_runs_of_the_workspace_and_brings_no_checkpoints(
    sdk: str, service: AzureMLEmulator, tmp_path: Path
) -> None:
    user = InProcess(service, tmp_path)
    one, other, empty = (
        add_run(service, "0.123", "outputs"),
        add_run(service, "0.456", "outputs"),
        add_run(service, "0"),
    )

    alone = user.submit("report", one, "--sdk", sdk)
    both = user.submit("report", one, other, one, "--target", ".", "--output", "both.html", "--sdk", sdk)
    missing = user.submit("report", empty, "--sdk", sdk)
    unknown = user.submit("report", "no-such-run", "--sdk", sdk)

    assert (alone.status, alone.err) == (0, "")
    assert alone.out.splitlines()[-1].startswith(f"Report: {one}/outputs/report.html (")
    assert "0.123" in (tmp_path / one / "outputs/report.html").read_text()
    assert both.status == 0
    assert not [line for line in both.out.splitlines() if line.startswith(one)]  # it was there already
    page = (tmp_path / "both.html").read_text()
    assert one in page
    assert other in page
    assert not list(tmp_path.rglob("*.ckpt"))
    assert missing.status == 2
    assert missing.err.startswith(f"error: run {empty} has no files for a report; it has outputs/checkpoints/best.ckpt")
    assert unknown.status == 2
    assert unknown.err.count("\n") == 1


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_the_runs_are_found_whatever_the_output_dir_and_of_several_attempts_the_last(
    sdk: str, service: AzureMLEmulator, tmp_path: Path
) -> None:
    user = InProcess(service, tmp_path)
    alone = add_run(service, "0.55", "outputs/mine", "outputs/mine/previous/1")
    retried = add_run(service, "0.66", "outputs", "outputs/retry_001", "outputs/retry_002", "outputs/other")

    one = user.submit("report", alone, "--sdk", sdk)
    several = user.submit("report", retried, "--sdk", sdk)

    assert (one.status, several.status) == (0, 0), one.err + several.err
    assert one.out.splitlines()[-1].startswith(f"Report: {alone}/outputs/mine/report.html (")
    assert several.out.splitlines()[-1].startswith("Report: report.html (")
    page = (tmp_path / "report.html").read_text()
    assert [value in page for value in ("0.660", "0.661", "0.662", "0.663")] == [False, False, True, True]
