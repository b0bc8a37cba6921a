"""The commands of ``python -m submit``, a module each.

A module has ``add_arguments(parser)``, ``run(options, training) -> int``, the exit status, and
``TAKES_TRAINING_FLAGS``: whether what its parser doesn't know are flags of the training. Only the module of the command
that is given is imported; it imports azureml-core when it runs.
"""

ABOUT = {
    "run": "send a training to an Azure ML cluster",
    "rehearse": "run the whole job on this machine first",
    "sweep": "send a training many times, with hyper-parameters that are drawn",
    "status": "show how a run is doing, with its metrics",
    "list": "show the runs of an experiment",
    "logs": "show what a run prints",
    "cancel": "end a run",
    "download": "bring the files of a run here",
    "register": "make a run's best checkpoint a model",
    "resume": "go on with a run that has ended, as a new one",
    "upload": "put a folder into the workspace's datastore",
    "compute": "find or create a cluster",
}
