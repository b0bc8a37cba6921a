"""Where this program's command line differs from Lightning's: defaults, and settings that can't be given."""

from jsonargparse import Namespace

from lightning_app.errors import UsageError

OUTPUT_DIR = "outputs"
SEED = 0
TRAINER_DEFAULTS = {
    "max_epochs": 2,  # as in the tutorials
    "default_root_dir": OUTPUT_DIR,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,  # not needed: the data is checked when it is read
}


# accepted only as null: files that Lightning's own command line saves have them
NOT_SET_HERE = {
    "fit": ("ckpt_path", "weights_only"),  # --resume takes their place
    **dict.fromkeys(("validate", "test", "predict"), ("weights_only",)),
}


def take_unset(command: str, settings: Namespace) -> None:
    """Removes the settings that are there to be null only.

    Raises:
        UsageError: One of them has a value.
    """
    for name in NOT_SET_HERE[command]:
        if (value := settings.pop(name)) is not None:
            remedy = "fit continues from a checkpoint by --resume PATH" if command == "fit" else "leave it out"
            raise UsageError(f"--{name} {value}: not a setting of this program; {remedy}")
