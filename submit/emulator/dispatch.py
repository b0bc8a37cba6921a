"""What those may ask who submit jobs; to a job itself, all of it is unknown."""

from submit.rehearsal import (
    blob_lists,
    computes,
    datasets,
    datastores,
    environments,
    execution,
    experiments,
    history,
    models,
    resource_manager,
    snapshots,
)
from submit.rehearsal.authorisation import for_its_run, for_user
from submit.rehearsal.job_routes import blob_routes
from submit.rehearsal.route import Route
from submit.rehearsal.workspace import DATASTORE_CONTAINER, SCOPE

_HISTORY = f"/history/v1.0{SCOPE}"
_MODEL = f"/modelmanagement/v1.0{SCOPE}"
_RESOURCES = f"/rp/workspaces{SCOPE}"
_DATASTORE = f"/datastore/v1.0{SCOPE}"
_DATASET = f"/dataset/v1.0{SCOPE}"
_ENVIRONMENT = f"/environment/v1.0{SCOPE}/environments"
_EXECUTION = f"/execution/v1.0{SCOPE}/experiments/{{experiment}}"
_COMPUTE = f"{SCOPE}/computes/{{compute}}"

AZURE_ML = (
    Route("POST", f"{_HISTORY}/experiments/{{experiment}}", for_user(experiments.create_experiment)),
    Route("POST", f"{_HISTORY}/experiments:query", for_user(experiments.list_experiments)),
    Route("POST", f"{_HISTORY}/experiments/{{experiment}}/runs:query", for_user(experiments.list_runs)),
    Route("GET", f"{_HISTORY}/experimentids/{{experiment}}", for_user(experiments.get_experiment)),
    Route("GET", f"{_HISTORY}/runs/{{run}}", for_user(for_its_run(history.get_run))),
    Route("GET", f"{_MODEL}/assets/{{asset}}", for_user(models.get_asset)),
    Route("GET", f"{_MODEL}/models", for_user(models.list_all)),
    Route("GET", f"{_MODEL}/models/{{model}}", for_user(models.get)),
    Route("GET", f"{_RESOURCES}/computes", for_user(computes.list_all)),
    Route("GET", f"{_RESOURCES}/computes/{{compute}}", for_user(computes.get)),
    Route("GET", f"{_DATASTORE}/default", for_user(datastores.get)),
    Route("GET", f"{_DATASTORE}/datastores", for_user(datastores.list_all)),
    Route("GET", f"{_DATASTORE}/datastores/{{datastore}}", for_user(datastores.get)),
    Route("POST", f"{_DATASET}/saveddatasets", for_user(datasets.save)),
    Route("GET", f"{_DATASET}/saveddatasets/{{dataset}}", for_user(datasets.get_saved)),
    Route("GET", f"{_DATASET}/datasets", for_user(datasets.list_registered)),
    Route("POST", f"{_DATASET}/datasets", for_user(datasets.register)),
    Route("GET", f"{_DATASET}/datasets/query/name={{name}}", for_user(datasets.get_registered)),
    Route("GET", f"{_DATASET}/datasets/query/savedDatasetId={{dataset}}", for_user(datasets.list_registered)),
    Route("GET", f"/data/v1.0{SCOPE}/dataversion/{{dataset}}/versions/{{version}}", for_user(datasets.get_version)),
    Route("GET", f"/content/v1.0{SCOPE}/snapshots/latest/metadata", for_user(snapshots.get_latest)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/getblob", for_user(snapshots.announce)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/{{snapshot}}", for_user(snapshots.create)),
    Route("GET", f"{_ENVIRONMENT}/", for_user(environments.list_all)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}", for_user(environments.get)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}/versions/{{version}}", for_user(environments.get)),
    Route("PUT", f"{_ENVIRONMENT}/{{environment}}", for_user(environments.register)),
    Route("POST", f"{_EXECUTION}/snapshotrun", for_user(execution.submit)),
    Route("POST", f"{_EXECUTION}/runId/{{run}}/cancel", for_user(for_its_run(execution.cancel))),
)
BLOBS = (
    Route("GET", f"/{DATASTORE_CONTAINER}", blob_lists.list_blobs, comp="list"),
    *blob_routes(f"/{DATASTORE_CONTAINER}/{{path*}}"),
)
RESOURCE_MANAGER = (
    Route("GET", "/subscriptions", for_user(resource_manager.list_subscriptions)),
    Route("GET", SCOPE, for_user(resource_manager.get_workspace)),
    Route("GET", f"{computes.OPERATIONS}/vmSizes", for_user(resource_manager.list_vm_sizes)),
    Route("GET", f"{computes.OPERATIONS}/computeOperationsStatus/{{compute}}", for_user(computes.get_operation)),
    Route("PUT", _COMPUTE, for_user(computes.create)),
    Route("PATCH", _COMPUTE, for_user(computes.update)),
    Route("DELETE", _COMPUTE, for_user(computes.delete)),
)
