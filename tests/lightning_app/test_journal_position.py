"""A Trainer of one's own with ``AzureMLRunLogger``: its checkpoints know how far the journal was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from lightning_app.azureml.journal_position import JournalPosition
from lightning_app.azureml_logger import AzureMLRunLogger
from tests.support.fits import KillAt, KilledError, saving
from tests.support.lines import Line, fit_line

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),  # the trainings of a test share it on purpose
    pytest.mark.filterwarnings(
        "ignore:.*ended before the epoch ended"
    ),  # which rows come is the point, not their values
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def steps(folder: Path) -> list[tuple[int, list[str]]]:
    return [(row["step"], sorted(row["metrics"])) for row in read_journal(folder / "metrics.jsonl")]


@pytest.mark.parametrize("settings", [{}, {"enable_autolog_hparams": False, "callbacks": [JournalPosition()]}])
def test_a_continued_fit_has_the_rows_of_an_undisturbed_one(folder: Path, settings: dict[str, Any]) -> None:
    given = settings.pop("callbacks", [])
    fit_line(AzureMLRunLogger("undisturbed"), max_epochs=3, callbacks=[saving("others")])
    with pytest.raises(KilledError):
        fit_line(AzureMLRunLogger(), max_epochs=3, callbacks=[saving("checkpoints"), KillAt(27), *given], **settings)
    killed = steps(folder)

    fit_line(
        AzureMLRunLogger(),
        max_epochs=3,
        callbacks=[saving("checkpoints"), *given],
        ckpt_path="checkpoints/step=15.ckpt",
        **settings,
    )

    assert killed == steps(Path("undisturbed"))[: len(killed)]
    assert (4, ["train_loss"]) in killed
    assert (24, ["train_loss"]) in killed
    assert steps(folder) == steps(Path("undisturbed"))


def test_a_fit_from_the_beginning_in_the_same_folder_is_not_a_repetition(folder: Path) -> None:
    for _ in range(2):
        fit_line(AzureMLRunLogger(), max_epochs=1, callbacks=[saving("checkpoints")])

    assert steps(folder) == 2 * steps(folder)[: len(steps(folder)) // 2]


def test_evaluating_a_checkpoint_repeats_nothing(folder: Path) -> None:
    trainer = fit_line(AzureMLRunLogger(), max_epochs=2, callbacks=[saving("checkpoints")])
    before = len(steps(folder))

    for _ in range(2):
        trainer.validate(Line(), ckpt_path="checkpoints/step=15.ckpt", verbose=False)

    assert len(steps(folder)) == before + 2


def test_a_checkpoint_of_an_earlier_release_goes_by_its_step(folder: Path) -> None:
    fit_line(AzureMLRunLogger(), max_epochs=2, callbacks=[saving("checkpoints")])
    before = steps(folder)
    checkpoint = torch.load("checkpoints/step=15.ckpt", weights_only=True)
    assert checkpoint.pop("metrics_journals")
    torch.save(checkpoint, "old.ckpt")

    fit_line(AzureMLRunLogger(), max_epochs=2, callbacks=[saving("checkpoints")], ckpt_path="old.ckpt")

    assert steps(folder) == before
