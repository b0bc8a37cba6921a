"""What Lightning expects of a logger, and what users know from Lightning's own: checked with Lightning's Trainer."""

import copy
import pickle
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import _DummyExperiment
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.tuner import Tuner
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.azureml.experiment import RunWhenUsed
from lightning_app.azureml.journal import read_journal
from lightning_app.azureml_logger import AzureMLRunLogger
from tests.lightning_app.test_azureml_logger import run_script
from tests.support.jobs import Job

# Lightning's own, about a second training in a folder
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Model(BoringModel):
    """Logs in each stage."""

    def __init__(self, learning_rate: Any = 0.1, batch_size: int = 1, kind: Any = "small") -> None:
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.step(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.step(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self.step(batch))


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLRunLogger:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program"])  # LightningCLI reads it
    return AzureMLRunLogger("runs/one")


def trainer(logger: Any, **settings: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    few = {"limit_train_batches": 2, "limit_val_batches": 1, "limit_test_batches": 1, "limit_predict_batches": 1}
    return pl.Trainer(
        **(quiet | few | {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1} | settings), logger=logger
    )


def names(folder: Path | str) -> list[list[str]]:
    """The names of each row."""
    return [list(row["metrics"]) for row in read_journal(Path(folder) / "metrics.jsonl")]


def hparams(folder: Path | str) -> Any:
    return yaml.safe_load((Path(folder) / "hparams.yaml").read_text())


def test_a_new_logger_has_its_names_and_leaves_no_file(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    given = AzureMLRunLogger(output_dir=Path("x"), exit_timeout=1, priority=["a"], stop_on_nonfinite=True)

    assert (logger.save_dir, logger.root_dir, logger.log_dir) == ("runs/one",) * 3
    assert (logger.name, logger.version, logger.group_separator) == ("", "", "/")
    assert given.save_dir == "x"
    assert isinstance(logger.experiment, RunWhenUsed)
    logger.save()
    logger.finalize("success")
    logger.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("leading", ["", "simplecache::"])
@pytest.mark.parametrize("url", ["memory://x", "s3://bucket/x", "abfss://c@a.net/x", "file:///tmp/x", "azureml://a/b"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_url_is_refused_in_one_line(url: str, leading: str, kind: type) -> None:
    with pytest.raises(ValueError, match=r"^output_dir '.*': expected a folder of this machine; got a URL; give a lo"):
        AzureMLRunLogger(kind(leading + url))


@pytest.mark.parametrize("path", ["a:b/c", "C:/runs", "a::b", "./s3:/x", "/s3:/x"])
def test_a_folder_with_colons_is_a_folder(path: str) -> None:
    assert AzureMLRunLogger(path).save_dir == str(Path(path))


def test_home_is_expanded_as_the_trainer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert AzureMLRunLogger("~/runs").save_dir == pl.Trainer(default_root_dir="~/runs", logger=False).default_root_dir
    assert AzureMLRunLogger("~nobody-at-all/runs").save_dir == "~nobody-at-all/runs"


def test_the_trainer_has_its_folders_and_each_stage_its_rows(logger: AzureMLRunLogger) -> None:
    model = Model()
    one = trainer(logger)

    one.fit(model)
    one.validate(model)
    one.test(model)
    one.predict(model)

    assert one.log_dir == "runs/one"
    assert names("runs/one") == [["train_loss"]] * 2 + [["val_loss"]] * 2 + [["test_loss"]]
    assert [path.name for path in Path("runs/one/checkpoints").iterdir()] == ["epoch=0-step=2.ckpt"]
    assert Path(one.checkpoint_callback.best_model_path).resolve().parent == Path("runs/one/checkpoints").resolve()  # type: ignore[union-attr]
    assert not Path("lightning_logs").exists()


def test_the_last_checkpoint_of_the_folder_is_found(logger: AzureMLRunLogger) -> None:
    trainer(logger, callbacks=[ModelCheckpoint(save_last=True)]).fit(Model())

    again = trainer(AzureMLRunLogger("runs/one"), max_epochs=2, callbacks=[ModelCheckpoint(save_last=True)])
    again.fit(Model(), ckpt_path="last")

    assert again.global_step == 4
    assert hparams("runs/one") == {"learning_rate": 0.1, "batch_size": 1, "kind": "small"}


def test_what_is_logged_before_training_is_kept(logger: AzureMLRunLogger) -> None:
    logger.log_hyperparams({"note": "before"})
    logger.log_metrics({"_before": 1.0})
    trainer(logger).fit(Model())

    assert names("runs/one")[0] == ["_before"]
    assert hparams("runs/one")["note"] == "before"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_whole_before_and_after_use(logger: AzureMLRunLogger, copied: Callable[[Any], Any]) -> None:
    class Counted(AzureMLRunLogger):
        def __init__(self, folder: str, *, label: str) -> None:
            super().__init__(folder, exit_timeout=3)
            self.label = label

    globals()["Counted"] = Counted  # pickle finds it by its name
    Counted.__qualname__ = "Counted"
    counted = Counted("runs/one", label="mine")

    for number in range(2):
        assert counted.experiment is not None
        same = copied(counted)
        same.log_metrics({"a": 1.0}, number)
        counted.log_metrics({"a": 1.0}, number)
        assert (same.label, same.save_dir, same.name, type(same)) == ("mine", "runs/one", "", Counted)
    copied(counted.experiment)

    assert names("runs/one") == [["a"]] * 4


def test_a_trainer_is_pickled_with_its_loggers(logger: AzureMLRunLogger) -> None:
    one = trainer([logger, AzureMLRunLogger("runs/two")])
    one.loggers[0].log_metrics({"a": 1.0})

    again = pickle.loads(pickle.dumps(one))
    for other in again.loggers:
        other.log_metrics({"b": 1.0}, 5)

    assert [other.save_dir for other in again.loggers] == ["runs/one", "runs/two"]
    assert (names("runs/one"), names("runs/two")) == ([["a"], ["b"]], [["b"]])


def test_several_loggers_have_all_rows_each(logger: AzureMLRunLogger) -> None:
    one = trainer([logger, CSVLogger("csv"), AzureMLRunLogger("runs/two")])

    one.fit(Model())

    assert names("runs/one") == names("runs/two") == [["train_loss"]] * 2 + [["val_loss"]]
    assert len(list(Path("csv").rglob("metrics.csv"))) == 1
    assert one.log_dir == "runs/one"


@pytest.mark.parametrize("method", ["lr_find", "scale_batch_size"])
def test_the_tuner_gives_the_logger_back_and_logs_nothing(logger: AzureMLRunLogger, method: str) -> None:
    settings = {"lr_find": {"num_training": 5}, "scale_batch_size": {"max_trials": 1, "steps_per_trial": 1}}
    model = Model()
    one = trainer(logger, max_epochs=10)

    getattr(Tuner(one), method)(model, datamodule=Batches(), **settings[method])

    assert one.loggers == [logger] == model.loggers  # type: ignore[comparison-overlap]
    assert not Path("runs/one/metrics.jsonl").exists()


class Batches(BoringDataModule):
    batch_size = 1

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(self.random_train, batch_size=self.batch_size)


def test_other_ranks_write_nothing_and_do_nothing(
    logger: AzureMLRunLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    logger.log_metrics({"a": 1.0}, 1)
    logger.log_hyperparams({"a": 1})
    logger.log_image("a", np.zeros((2, 2)))
    logger.log_graph(Model())
    logger.save()
    logger.finalize("success")
    assert isinstance(logger.experiment, _DummyExperiment)
    assert isinstance(logger.run, _DummyExperiment)
    assert logger.experiment.log("a", 1) is None
    logger.close()

    assert list(tmp_path.iterdir()) == []
    assert logger.save_dir == "runs/one"


class RankCheck(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        assert trainer.logger is not None
        is_dummy = isinstance(trainer.logger.experiment, _DummyExperiment)  # type: ignore[attr-defined]
        assert is_dummy == (trainer.global_rank > 0)


@pytest.mark.slow
def test_processes_that_lightning_starts_share_the_folder(logger: AzureMLRunLogger) -> None:
    one = trainer(logger, strategy="ddp_spawn", devices=2, callbacks=[RankCheck()])

    one.fit(Model())

    assert names("runs/one") == [["train_loss"]] * 2 + [["val_loss"]]


def test_a_step_that_a_module_logs_is_the_rows_step(logger: AzureMLRunLogger) -> None:
    class Stepping(BoringModel):
        def on_train_epoch_end(self) -> None:
            self.log_dict({"step": float(10 * self.current_epoch), "train_accuracy": 0.5})

    trainer(logger, max_epochs=2).fit(Stepping())

    rows = list(read_journal(Path("runs/one/metrics.jsonl")))
    assert [(row["step"], row["metrics"]) for row in rows] == [
        (0, {"train_accuracy": 0.5}),
        (10, {"train_accuracy": 0.5}),
    ]


def test_callbacks_that_log_find_what_they_need(logger: AzureMLRunLogger) -> None:
    callbacks = [
        LearningRateMonitor("step"),
        EarlyStopping("val_loss", patience=1, log_rank_zero_only=True),
        ModelCheckpoint(monitor="val_loss", save_top_k=2, filename="{epoch}-{val_loss:.3f}"),
    ]

    trainer(logger, max_epochs=2, callbacks=callbacks).fit(Model())

    found = {name for row in names("runs/one") for name in row}
    assert found == {"lr-SGD", "train_loss", "val_loss"}
    assert len(list(Path("runs/one/checkpoints").glob("epoch=*-val_loss=*.ckpt"))) == 2


def test_hyperparameters_of_model_and_data_are_logged_once(logger: AzureMLRunLogger) -> None:
    class Data(BoringDataModule):
        def __init__(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
            super().__init__()
            self.save_hyperparameters()

    for _ in range(2):
        trainer(logger).fit(Model(np.float64(0.5), kind=torch.device("cpu")), Data(Path("images")))

    assert hparams("runs/one") == {
        "learning_rate": 0.5,
        "batch_size": 1,
        "kind": "cpu",
        "path": "images",
        "dtype": "torch.float32",
    }


def test_hyperparameters_that_are_not_for_loggers_are_not_logged(logger: AzureMLRunLogger) -> None:
    class Silent(BoringModel):
        def __init__(self, secret: str) -> None:
            super().__init__()
            self.save_hyperparameters(logger=False)

    trainer(logger).fit(Silent("x"))

    assert not Path("runs/one/hparams.yaml").exists()


def test_each_of_three_folds_keeps_its_hyperparameters(logger: AzureMLRunLogger) -> None:
    for fold in range(3):
        trainer(logger).fit(Model(learning_rate=0.1 * (fold + 1), kind=Namespace(fold=fold)))

    first = {"learning_rate": 0.1, "batch_size": 1, "kind": {"fold": 0}}
    second = {"learning_rate": 0.2, "batch_size": 1, "kind": {"fold": 1}}
    assert hparams("runs/one") == {
        **first,
        "hparams_2": second,
        "hparams_3": {"learning_rate": 0.1 * 3, "batch_size": 1, "kind": {"fold": 2}},
    }
    assert names("runs/one") == 3 * ([["train_loss"]] * 2 + [["val_loss"]])


LOGGER = {"class_path": "lightning_app.azureml_logger.AzureMLRunLogger", "init_args": {"output_dir": "runs/one"}}


def command(*arguments: str, rate: float = 0.1, **settings: Any) -> LightningCLI:
    """A LightningCLI program of a user's own."""
    defaults = {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 1, "limit_test_batches": 1}
    quiet = {"log_every_n_steps": 1, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    return LightningCLI(
        Model,
        BoringDataModule,
        args=[*arguments, f"--model.learning_rate={rate}"],
        trainer_defaults=defaults | quiet | {"logger": LOGGER},
        seed_everything_default=1,
        **settings,
    )


def saved_rates() -> list[float]:
    """Those in all settings that were saved, the latest last."""
    folders = [*sorted(Path("runs/one/previous").glob("*/config.yaml")), Path("runs/one/config.yaml")]
    return [yaml.safe_load(path.read_text())["model"]["learning_rate"] for path in folders]


@pytest.mark.parametrize("second", ["fit", "test"])
def test_a_command_line_program_runs_twice_in_a_folder(logger: AzureMLRunLogger, second: str) -> None:
    command("fit", rate=0.1)
    command(second, rate=0.2)

    assert saved_rates() == [0.1, 0.2]
    assert (
        names("runs/one")
        == [["train_loss"], ["val_loss"]] + {"fit": [["train_loss"], ["val_loss"]], "test": [["test_loss"]]}[second]
    )
    assert hparams("runs/one")["learning_rate"] == 0.1
    assert hparams("runs/one")["hparams_2"]["learning_rate"] == 0.2


def test_one_command_line_program_fits_and_tests(logger: AzureMLRunLogger) -> None:
    cli = command(run=False)

    cli.trainer.fit(cli.model, cli.datamodule)
    cli.trainer.test(cli.model, cli.datamodule)
    cli.trainer.fit(cli.model, cli.datamodule)

    assert saved_rates() == [0.1]


def test_closing_twice_and_logging_after_it_is_allowed(logger: AzureMLRunLogger) -> None:
    for number in range(2):
        logger.log_metrics({"a": 1.0}, number)
        logger.finalize("failed")
        logger.close()
        logger.close()

    assert names("runs/one") == [["a"]] * 2


def test_it_works_without_a_trainer_in_fabric(logger: AzureMLRunLogger) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, loggers=logger)

    fabric.log("a", 1.0)
    fabric.log_dict({"b": torch.tensor(2.0)}, step=3)

    assert names("runs/one") == [["a"], ["b"]]


def test_the_experiment_is_created_when_it_is_used() -> None:
    created = []

    class Owner:
        @property
        def run(self) -> dict[str, int]:
            created.append(1)
            return {"a": 1}

    experiment = RunWhenUsed(Owner())
    assert repr(experiment) == "<the run of azureml-core, imported when it is used>"
    assert not hasattr(experiment, "__len__")
    assert created == []
    assert list(experiment.keys()) == ["a"]
    with pytest.raises(AttributeError, match="add_scalar"):
        experiment.add_scalar("a", 1)


def test_the_experiment_is_the_run_of_the_job(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import sys
        experiment = logger.experiment
        assert not any(name.startswith("azureml") for name in sys.modules)
        print(experiment.id, logger.run.id, experiment._client is logger.run._client)
        experiment.tag("by hand", "yes")
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"{job.run_id} {job.run_id} True\n"
    assert job.service.run(job.run_id).tags == {"by hand": "yes"}
