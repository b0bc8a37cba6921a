"""``submit report``: the report of runs of the workspace, by either SDK."""

from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.submit_in_process import InProcess

ROW = '{"step": 4, "epoch": 0, "metrics": {"val_accuracy": %s}}\n'


def add_run(service: AzureMLEmulator, accuracy: str, *, files: bool = True) -> str:
    run_id = service.new_run("lightning-azureml").id
    content = {
        "outputs/metrics.jsonl": (ROW % accuracy).encode(),
        "outputs/config.yaml": f"model:\n  init_args:\n    learning_rate: {accuracy}\n".encode(),
        "outputs/checkpoints/best.json": b'{"monitor": "val_accuracy", "score": 0.5, "epoch": 1, "step": 4}',
    }
    for path, text in (content if files else {}).items():
        service.add_artifact(run_id, path, text)
    service.add_artifact(run_id, "outputs/checkpoints/best.ckpt", b"large")
    service.set_run_status(run_id, "Completed")
    return run_id


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_a_report_shows_runs_of_the_workspace_and_brings_no_checkpoints(
    sdk: str, service: AzureMLEmulator, tmp_path: Path
) -> None:
    user = InProcess(service, tmp_path)
    one, other, empty = add_run(service, "0.123"), add_run(service, "0.456"), add_run(service, "0", files=False)

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
