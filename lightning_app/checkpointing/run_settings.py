"""Which settings make a run the run that it is: all that change what is learned."""

from collections.abc import Mapping
from typing import Any

import yaml

from lightning_app.command_line.flags import short_name
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.finders import found_settings

_BATCH_SIZE = "data.init_args.batch_size"  # of each process
_PARTS = ("model", "data", "seed_everything", "optimizer", "lr_scheduler")
# between two machines, and what is read from there; ExactResume compares the number of images
_MAY_DIFFER = {
    *("data_path", "download", "skip_broken", "weights"),
    *("num_workers", "cache_gb", "stage_dir", "pin_memory", "persistent_workers"),
}
# when training ends, where it runs, what it shows and writes: all other settings of the Trainer count
_TRAINER_MAY_DIFFER = {
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time"),
    *("accelerator", "devices", "num_nodes", "strategy", "benchmark", "inference_mode"),
    *("logger", "log_every_n_steps", "profiler", "detect_anomaly", "enable_autolog_hparams", "model_registry"),
    *("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "default_root_dir", "barebones"),
    *("fast_dev_run", "num_sanity_val_steps", "limit_test_batches", "limit_predict_batches"),
}
_CALLBACKS_MAY_DIFFER = {
    *("EarlyStopping", "Timer", "ModelCheckpoint", "OnExceptionCheckpoint", "LearningRateMonitor"),
    *("DeviceStatsMonitor", "ThroughputMonitor", "ModelSummary", "RichModelSummary"),
    *("ProgressBar", "TQDMProgressBar", "RichProgressBar"),
}


def read_settings(folder: RunFolder) -> dict[str, Any]:
    """The content of ``config.yaml``; nothing where there is none.

    Raises:
        UsageError: It can't be read, so that nobody knows whether the run has the same settings.
    """
    if not folder.config.exists():
        return {}
    try:
        content = yaml.safe_load(folder.config.read_text())
        problem = "" if isinstance(content, dict) else "it holds no settings"
    except OSError as error:
        problem = error.strerror or str(error)
    except (yaml.YAMLError, UnicodeDecodeError):
        problem = "it is not YAML"
    if problem:
        raise UsageError(
            f"{str(folder.config)!r}: can't be read ({problem}), so the run's settings can't be compared; restore or "
            "delete it, or give --resume never to start a new run"
        )
    return dict(content)


def learning_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that affect what the network learns, by dotted name."""
    trainer = config.get("trainer") or {}
    found = found_settings(
        [each for each in _callbacks(trainer) if isinstance(each, Mapping)]
    )  # config.yaml has the found values
    settings = {f"trainer.{name}": value for name, value in trainer.items() if name not in _TRAINER_MAY_DIFFER}
    settings["trainer.callbacks"] = [
        callback for callback in _callbacks(trainer) if class_name(callback) not in _CALLBACKS_MAY_DIFFER
    ]
    if config.get("init_from"):
        settings["init_from"] = "given"  # a path; the hash of the file is in the checkpoints
    for part in _PARTS:
        if part in config:
            settings |= _flat(part, config[part])
    return {path: value for path, value in settings.items() if path.rpartition(".")[2] not in found | _MAY_DIFFER}


def differences(earlier: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """The learning settings of two configurations that differ, for a message; empty if none does.

    Another number of processes may share the same images of a step: then each has another number of them.
    """
    one, other = learning_settings(earlier), learning_settings(current)
    if _images_per_step(earlier) == _images_per_step(current) is not None:
        one[_BATCH_SIZE] = other[_BATCH_SIZE]
    changed = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    # a setting that the release of the earlier run didn't have is off by default
    changed = [name for name in changed if name in one or other[name]]
    # another class has other settings as well, which need no mention
    classes = [name for name in changed if name.endswith(".class_path")]
    listed = [f"{short_name(n)} was {one.get(n)!s:.60}, now {other.get(n)!s:.60}" for n in classes or changed]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def is_generated(config: Mapping[str, Any]) -> bool:
    """Whether the images are generated, which one of this project's datamodules does without a path."""
    settings = (config.get("data") or {}).get("init_args") or {}
    return "data_path" in settings and settings["data_path"] is None


def _images_per_step(config: Mapping[str, Any]) -> int | None:
    """Of all processes; None where the settings don't say how many processes there are."""
    trainer = config.get("trainer") or {}
    batch_size = ((config.get("data") or {}).get("init_args") or {}).get("batch_size")
    devices, nodes = trainer.get("devices"), trainer.get("num_nodes") or 1
    count = len(devices) if isinstance(devices, list) else int(str(devices)) if str(devices).isdecimal() else 0
    if devices in (None, "auto") and trainer.get("accelerator") == "cpu":
        count = 1
    if not isinstance(batch_size, int) or not isinstance(nodes, int) or count == 0:
        return None
    return batch_size * count * nodes


def callbacks_of(config: Mapping[str, Any], name: str) -> list[Any]:
    """The settings of the callbacks of a class."""
    return [callback for callback in _callbacks(config.get("trainer") or {}) if class_name(callback) == name]


def class_name(callback: Any) -> str:
    path = callback.get("class_path", "") if isinstance(callback, Mapping) else callback
    return str(path).rpartition(".")[2]


def _callbacks(trainer: Mapping[str, Any]) -> list[Any]:
    callbacks = trainer.get("callbacks") or []
    return callbacks if isinstance(callbacks, list) else [callbacks]


def _flat(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path: value}
    settings: dict[str, Any] = {}
    for name, inner in value.items():
        settings |= _flat(f"{path}.{name}", inner)
    return settings
