"""Values that stand on both sides of a wall between packages are equal there."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_app.azureml import service_limits
from lightning_app.distributed import launch
from lightning_app.preemption import watcher
from lightning_app.run_folder import RunFolder
from lightning_app.watchdog import keys
from models import CifarNet
from submit import job, low_priority
from submit.emulator import limits
from submit.execution import nodes, processes, rehearse
from submit.runs import model_labels, run_folders
from submit.sweep import validation

OUTPUTS = RunFolder(Path("outputs"))


def test_the_emulator_has_the_limits_that_the_sender_respects() -> None:
    respected = (service_limits.METRIC_NAMES, service_limits.ROWS, service_limits.COLUMNS, service_limits.TEXT)
    respected += (service_limits.TAGS, service_limits.TAG_NAME, service_limits.TAG_VALUE)

    enforced = (limits.METRIC_NAMES, limits.ROWS_A_BATCH, limits.COLUMNS, limits.CHARACTERS)
    enforced += (limits.LABELS, limits.LABEL_NAME, limits.LABEL_VALUE)

    assert respected == enforced


def test_a_model_has_the_tags_that_a_run_has() -> None:
    of_model = (model_labels.MOST, model_labels.LONGEST_NAME, model_labels.LONGEST_VALUE)

    assert of_model == (service_limits.TAGS, service_limits.TAG_NAME, service_limits.TAG_VALUE)


def test_submit_looks_for_the_checkpoints_that_training_writes() -> None:
    names = [OUTPUTS.best.as_posix(), OUTPUTS.last.as_posix()]
    assert names == [f"outputs/{run_folders.BEST}", f"outputs/{run_folders.LAST}"]
    assert run_folders.folders_with_checkpoints(names) == ["outputs"]


def test_a_rehearsal_waits_for_the_senders_own_lock() -> None:
    assert OUTPUTS.delivery_lock.name == rehearse.DELIVERY_LOCK


def test_submit_gives_a_job_the_key_that_the_watchdog_reads() -> None:
    assert job.JOB_KEY == keys.JOB_KEY


def test_submit_sets_the_variables_that_the_watcher_of_preemption_reads() -> None:
    assert low_priority.VARIABLE == watcher.LOW_PRIORITY
    assert nodes.METADATA_ADDRESS == watcher.METADATA_ADDRESS


def test_a_training_reads_which_rehearsal_has_started_it() -> None:
    assert processes.STARTED_BY == launch.STARTED_BY


def test_a_sweep_knows_the_metrics_that_models_log() -> None:
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8) % 10
    loader = DataLoader(TensorDataset(images, labels), batch_size=4)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(model := CifarNet(), loader, loader)
    logged = set(trainer.callback_metrics)

    trainer.test(model, loader, verbose=False)

    assert logged | set(trainer.callback_metrics) == set(validation.LOGGED)
