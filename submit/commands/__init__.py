"""The commands of ``python -m submit``, one module each.

A module has ``add_arguments(parser)``, ``run(options, training) -> int``, which returns the exit status, and
``TAKES_TRAINING_FLAGS``: whether flags that its parser doesn't know go to the training. Only the module of the given
command is imported; it imports azureml-core when it runs.
"""

ABOUT = {
    "run": "send a training to an Azure ML cluster",
    "rehearse": "run the whole job on this machine",
    "sweep": "send a training many times, with different hyperparameters",
    "status": "show the status and the metrics of a run",
    "list": "list the runs of an experiment",
    "logs": "print or follow the log of a run",
    "cancel": "cancel a run",
    "download": "download the files of a run",
    "report": "write the report of runs as one HTML file",
    "register": "register a run's best checkpoint, or an exported model, as a model",
    "resume": "resume a run that has ended, as a new run",
    "deploy": "deploy an exported model to an online endpoint",
    "undeploy": "delete an online endpoint, or one of its deployments",
    "upload": "upload a folder to the workspace's datastore",
    "compute": "find or create a cluster",
}
