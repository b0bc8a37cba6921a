"""The commands of ``python -m submit``, a module each.

A module has ``add_arguments(parser)``, ``run(options, training) -> int``, the exit status, and ``TAKES_TRAINING_FLAGS``:
whether what its parser doesn't know are flags of the training. Only the module of the command that is given is
imported; it imports azureml-core when it runs.
"""

ABOUT = {
    "run": "send a training to an Azure ML cluster",
    "rehearse": "run the whole job on this machine first",
}
