"""The logger by itself: in this process outside a job, and in processes of its own as a job."""

import copy
import json
import math
import pickle
import re
import textwrap
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lightning_app.azureml.journal import read_journal
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.errors import NonFiniteError
from submit.emulator import Fault
from tests.support.commands import ROOT, Outcome
from tests.support.jobs import Job, journal_scalars, logged_rows

PREAMBLE = "from lightning_app.azureml_logger import AzureMLRunLogger\nlogger = AzureMLRunLogger()\n"


def run_script(job: Job, script: str) -> Outcome:
    return job.run("-c", PREAMBLE + textwrap.dedent(script))


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLRunLogger:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    return AzureMLRunLogger(tmp_path / "outputs")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def rows(logger: AzureMLRunLogger) -> list[dict[str, object]]:
    return logged_rows(Path(logger.save_dir))


def test_logged_values_become_numbers(logger: AzureMLRunLogger) -> None:
    logger.log_metrics(
        {
            "tensor": torch.tensor(0.5),
            "array of one": np.array([[2.5]]),
            "numpy integer": np.int64(2**60 + 1),
            "integer tensor": torch.tensor(3),
            "decimal": Decimal("0.25"),
            "yes": True,
            "epoch": 1,
        },
        step=np.int64(7),  # type: ignore[arg-type]
    )

    assert rows(logger) == [
        {
            "step": 7,
            "epoch": 1,
            "metrics": {
                "tensor": 0.5,
                "array of one": 2.5,
                "numpy integer": 2**60 + 1,
                "integer tensor": 3,
                "decimal": 0.25,
                "yes": True,
            },
        }
    ]


def test_a_value_that_is_no_number_is_left_out_with_one_warning(
    logger: AzureMLRunLogger, caplog: pytest.LogCaptureFixture
) -> None:
    for step in range(3):
        logger.log_metrics({"loss": 0.5, "note": "text", "pair": torch.zeros(2)}, step)

    assert [row["metrics"] for row in rows(logger)] == [{"loss": 0.5}] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "Metric 'note' is not logged: expected a number; got 'text'.",
        "Metric 'pair' is not logged: expected a number; got Tensor of shape (2,).",
    ]


def test_rows_without_a_step_follow_one_another(logger: AzureMLRunLogger) -> None:
    logger.log_metrics({"a": 1.0})
    logger.log_metrics({"a": 2.0})
    logger.log_metrics({"b": 2.0})

    assert [row["step"] for row in rows(logger)] == [0, 1, 0]


def test_a_nonfinite_metric_ends_the_run_if_the_user_wants_that(tmp_path: Path) -> None:
    logger = AzureMLRunLogger(tmp_path, stop_on_nonfinite=True)

    with pytest.raises(NonFiniteError, match=r"^loss is nan at step 3"):
        logger.log_metrics({"loss": math.nan, "accuracy": 0.5}, 3)

    assert rows(logger) == [{"step": 3, "metrics": {"loss": "NaN", "accuracy": 0.5}}]


def test_copies_and_pickles_hold_no_process(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import copy, pickle
        logger.log_metrics({"a": 1.0}, 1)
        assert logger._opened.sender is not None
        for other in (copy.deepcopy(logger), pickle.loads(pickle.dumps(logger))):
            assert other._opened is None and other.save_dir == logger.save_dir
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert job.scalars() == {"a": [(1, 1.0)]}


def test_a_copy_logs_to_the_same_folder(logger: AzureMLRunLogger) -> None:
    logger.log_metrics({"a": 1.0}, 1)

    for number, other in enumerate((copy.deepcopy(logger), pickle.loads(pickle.dumps(logger))), 2):
        other.log_metrics({"a": 1.0}, number)

    assert [row["step"] for row in rows(logger)] == [1, 2, 3]


def test_charts_are_files_outside_a_job(logger: AzureMLRunLogger) -> None:
    logger.log_confusion_matrix("confusion", torch.tensor([[3, 1], [0, 2]]), ["cat", "dog"], step=5)
    logger.log_images("wrong_ones", np.zeros((3, 8, 8, 3)), ["a", "b", "c"], step=5)
    logger.log_image("photo", torch.full((4, 5, 3), 0.5), step=5)
    logger.log_table("per_class", {"class": ["cat", "dog"], "recall": [0.75, 1.0]}, step=5)
    logger.log_list("thresholds", [0.1, 0.2], step=5)

    charts = Path(logger.save_dir) / "charts"
    assert sorted(path.name for path in charts.iterdir()) == [
        "confusion-step5.json",
        "confusion-step5.png",
        "per_class-step5.json",
        "photo-step5.json",
        "photo-step5.png",
        "thresholds-step5.json",
        "wrong_ones-step5.json",
        "wrong_ones-step5.png",
    ]
    assert json.loads((charts / "confusion-step5.json").read_text())["matrix"] == [[3, 1], [0, 2]]
    assert (pixels(charts / "photo-step5.png") == np.full((4, 5, 3), 128)).all()
    assert len(np.unique(pixels(charts / "confusion-step5.png"))) > 10  # something is drawn


def test_a_table_of_columns_of_other_lengths_is_refused(logger: AzureMLRunLogger) -> None:
    with pytest.raises(ValueError, match=r"same length; found 'a' 1, 'b' 2"):
        logger.log_table("t", {"a": [1], "b": [1, 2]})


def test_charts_arrive_in_the_forms_that_the_studio_draws(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import numpy as np
        logger.log_confusion_matrix("confusion", [[3, 1], [0, 2]], ["cat", "dog"], step=5)
        logger.log_image("photo", np.zeros((4, 5, 3), np.uint8), step=5)
        logger.log_image("photo", np.zeros((4, 5, 3), np.uint8), step=6)
        logger.log_table("rates", {"class": ["c" * 300, "dog"], "recall": [0.75, float("nan")]}, step=5)
        logger.log_table("wide", {f"column {i}": [i] for i in range(20)}, step=5)
        logger.log_list("thresholds", [i / 1000 for i in range(1000)], step=5)
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    run = job.service.run(job.run_id)
    assert {name: (found[0].kind, len(found)) for name, found in run.metrics.items()} == {
        "confusion": ("azureml.v2.confusion_matrix", 1),
        "photo": ("azureml.v2.image", 2),
        "rates": ("azureml.v1.table", 2),
        "wide": ("azureml.v1.table", 1),
        "thresholds": ("azureml.v1.list", 1000),
    }
    assert run.metrics["rates"][0].data == {"class": "c" * 255, "recall": 0.75}
    assert run.metrics["rates"][1].data == {"class": "dog", "recall": None}
    assert len(run.metrics["wide"][0].data) == 15
    assert [row.data["thresholds"] for row in run.metrics["thresholds"]] == [i / 1000 for i in range(1000)]
    assert set(run.artifacts) == {"charts/confusion-step5.json", "charts/photo-step5.png", "charts/photo-step6.png"}
    assert json.loads(run.artifacts["charts/confusion-step5.json"]) == {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": ["cat", "dog"], "matrix": [[3, 1], [0, 2]]},
    }


def test_nonfinite_metrics_are_counted_in_a_tag(job: Job) -> None:
    outcome = run_script(
        job,
        """
        for step in range(5):
            logger.log_metrics({"loss": float("nan") if step % 2 else 1.0, "norm": float("inf")}, step)
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert job.scalars() == {"loss": [(0, 1.0), (2, 1.0), (4, 1.0)]}
    assert job.service.run(job.run_id).tags["nonfinite_metrics"] == "norm 5, loss 2"
    words = [row["metrics"] for row in read_journal(job.folder / "outputs" / "metrics.jsonl")]
    assert words[1] == {"loss": "NaN", "norm": "Infinity"}


def test_of_more_names_than_the_service_accepts_those_with_priority_are_sent(job: Job) -> None:
    outcome = run_script(
        job,
        """
        for step in range(3):
            logger.log_metrics({f"layer{number}/norm": 1.0 for number in range(70)}, step)
        logger.log_metrics({"val_loss": 0.5, "val_accuracy ": 0.5, "v" * 300: 0.5}, 3)
        """,
    )

    assert outcome.status == 0
    sent = set(job.scalars())
    assert len(sent) == 42
    assert {"val_loss", "val_accuracy"} <= sent
    messages = [line for line in outcome.err.splitlines() if line]
    assert len(messages) == 2
    assert "Azure ML accepts 50 metric names per run" in messages[0]
    assert messages[1] == "The metric 'val_accuracy ' is called 'val_accuracy' at Azure ML."
    assert len(journal_scalars(job.folder / "outputs")) == 73
    assert "layer69/norm" in job.service.run(job.run_id).tags["metrics_in_journal_only"]


def test_more_hyperparameters_than_tags_are_all_in_the_file(job: Job) -> None:
    outcome = run_script(
        job,
        """
        for _ in range(2):
            logger.log_hyperparams({f"parameter{number}": number for number in range(80)} | {"long": "x" * 2000})
        """,
    )

    assert outcome.status == 0
    assert outcome.err == "Azure ML accepts 50 tags per run; 32 hyperparameters are only in outputs/hparams.yaml.\n"
    assert len(job.service.run(job.run_id).tags) == 50
    assert len(yaml.safe_load((job.folder / "outputs" / "hparams.yaml").read_text())) == 81


def test_a_second_program_of_the_same_job_continues_the_journal(job: Job) -> None:
    for first in (0, 3):
        run_script(job, f"for step in range({first}, {first} + 5): logger.log_metrics({{'a': float(step)}}, step)")

    assert job.scalars() == {"a": [(step, float(step)) for step in (0, 1, 2, 3, 4, 3, 4, 5, 6, 7)]}


def test_two_names_that_are_one_text_are_one_metric(logger: AzureMLRunLogger) -> None:
    logger.log_metrics({1: 0.5, "1": 0.25}, 1)  # type: ignore[dict-item]  # what people pass

    assert rows(logger) == [{"step": 1, "metrics": {"1": 0.25}}]


@pytest.mark.parametrize("text", ["{", "- 1", "text"])
def test_hyperparameters_that_someone_has_damaged_keep_nothing_from_arriving(job: Job, text: str) -> None:
    outcome = run_script(
        job,
        f"""
        from pathlib import Path
        logger.log_metrics({{"a": 1.0}}, 1)
        Path("outputs/hparams.yaml").write_text({text!r})
        logger.log_list("sizes", [1, 2])
        """,
    )

    assert (job.scalars(), len(job.rows()["sizes"])) == ({"a": [(1, 1.0)]}, 2)
    assert "hparams.yaml: expected hyperparameters in YAML" in outcome.err


def test_a_program_that_changes_its_working_directory_delivers_all_of_it(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import os
        logger.log_metrics({"a": 1.0}, 1)
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        logger.log_metrics({"a": 2.0}, 2)
        logger.log_hyperparams({"depth": 18})
        logger.log_list("sizes", [1, 2])
        """,
    )

    assert (outcome.status, list((job.folder / "elsewhere").iterdir())) == (0, [])
    assert job.scalars() == {"a": [(1, 1.0), (2, 2.0)]}
    assert job.service.run(job.run_id).tags["depth"] == "18"
    assert len(job.rows()["sizes"]) == 2


def test_the_script_in_readme_runs_here_and_as_a_job(job: Job) -> None:
    readme = (ROOT / "README.md").read_text()
    script = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert script is not None
    azure = "print('imported:', [name for name in __import__('sys').modules if name.startswith('azure')])\n"
    (job.folder / "plain.py").write_text(script[1] + azure)

    here = job.run("plain.py", AZUREML_RUN_ID="")
    trial = journal_scalars(job.folder / "outputs")
    there = job.run("plain.py")

    assert (here.status, there.status) == (0, 0), there.err
    assert "imported: []\n" in here.out
    assert "imported: []\n" in there.out
    assert trial["train_loss"]
    # what was logged before isn't of this job
    assert journal_scalars(job.folder / "outputs" / "previous" / "001") == trial
    assert job.scalars() == journal_scalars(job.folder / "outputs")
    assert [step for step, _ in job.scalars()["train_loss"]] == [step for step, _ in trial["train_loss"]]
    assert list((job.folder / "outputs" / "checkpoints").glob("*.ckpt"))


def test_tags_and_charts_are_delivered_while_rows_keep_coming(job: Job) -> None:
    job.service.inject(Fault.slow(0.1, "/metric/"))
    training = job.start(
        "-c",
        PREAMBLE
        + textwrap.dedent(
            """
            import time
            logger.log_hyperparams({"learning_rate": 0.1})
            logger.log_list("thresholds", [0.1, 0.2], 0)
            for step in range(100000):
                logger.log_metrics({"loss": 1.0}, step)
                time.sleep(0.01)
            """
        ),
    )
    try:
        deadline = time.monotonic() + 60
        while not (job.rows().get("thresholds") and job.service.run(job.run_id).tags) and time.monotonic() < deadline:
            time.sleep(0.1)

        assert training.poll() is None
        assert len(job.rows()["thresholds"]) == 2
        assert job.service.run(job.run_id).tags["learning_rate"] == "0.1"
        posts = [request for request in job.service.requests if request.path.endswith("/batch")]
        assert len(job.rows()["loss"]) > 10 * len(posts)
    finally:
        training.kill()
        training.communicate()


def test_settings_of_its_own_run_stay_when_it_is_asked_after_its_end(logger: AzureMLRunLogger) -> None:
    """As a signal at the end of the program may have it."""
    logger.log_metrics({"loss": 1.0}, 1)
    config = Path(logger.save_dir) / "config.yaml"
    config.write_text("seed: 0\n")
    logger.close()

    assert logger.experiment is not None
    assert config.exists()


def test_a_journal_that_is_deleted_during_the_run_is_created_again(logger: AzureMLRunLogger) -> None:
    logger.log_metrics({"loss": 1.0}, 1)
    (Path(logger.save_dir) / "metrics.jsonl").unlink()

    logger.log_metrics({"loss": 1.0}, 2)

    assert [row["step"] for row in rows(logger)] == [2]
