"""What a job may ask, for itself; and a user, for any run."""

from submit.rehearsal import artifacts, blob_lists, blobs, console, experiments, history, metrics, models
from submit.rehearsal.authorisation import for_both, for_its_files, for_its_run
from submit.rehearsal.route import Route
from submit.rehearsal.workspace import BLOB_CONTAINER, SCOPE

_EXPERIMENT = f"/history/v1.0{SCOPE}/experiments/{{experiment}}"
_BY_ID = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}"
_BY_NAME = f"{_EXPERIMENT}/runs/{{run}}"
_METRIC = f"/metric/v2.0{SCOPE}/runs/{{run}}"
_ARTIFACT = f"/artifact/v2.0{SCOPE}/artifacts"
_MODEL = f"/modelmanagement/v1.0{SCOPE}"
_CONTAINER = "{origin}/{container}"

AZURE_ML = (
    Route("GET", "/discovery/workspaces/{workspace}", history.discovery),
    Route("GET", _EXPERIMENT, for_both(experiments.get_experiment)),
    Route("GET", _BY_ID, for_its_run(history.get_run)),
    Route("GET", _BY_NAME, for_its_run(history.get_run)),
    Route("PATCH", _BY_ID, for_its_run(history.patch_run)),
    Route("PATCH", _BY_NAME, for_its_run(history.patch_run)),
    Route("GET", f"{_BY_ID}/token", for_its_run(history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/token", for_its_run(history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/details", for_its_run(history.get_details)),
    Route("DELETE", f"{_BY_NAME}/tags", for_its_run(history.delete_tags)),
    Route("POST", f"{_BY_NAME}/events", for_its_run(history.post_event)),
    Route("GET", f"{_BY_NAME}/metricsingest/wait", for_its_run(history.wait_for_metrics)),
    Route("POST", f"{_METRIC}/batch", for_its_run(metrics.post_batch)),
    Route("POST", f"{_METRIC}/list", for_its_run(metrics.list_names)),
    Route("POST", f"{_METRIC}/full", for_its_run(metrics.get_rows)),
    Route("POST", f"{_ARTIFACT}/batch/metadata/{_CONTAINER}", for_its_files(artifacts.create)),
    Route("GET", f"{_ARTIFACT}/{_CONTAINER}", for_its_files(artifacts.list_paths)),
    Route("GET", f"{_ARTIFACT}/contentinfo/{_CONTAINER}/{{path*}}", for_its_files(artifacts.get_content)),
    Route("GET", f"{_ARTIFACT}/prefix/contentinfo/{_CONTAINER}/{{path*}}", for_its_files(artifacts.list_contents)),
    Route("POST", f"{_MODEL}/assets", for_both(models.create_asset)),
    Route("POST", f"{_MODEL}/models", for_both(models.register)),
    Route("GET", "/rehearsal/state", console.get_state),
    Route("GET", "/rehearsal/runs/{run}/metrics", console.get_metrics),
    Route("POST", "/rehearsal/faults", console.post_fault),
    Route("DELETE", "/rehearsal/faults", console.delete_faults),
)


def blob_routes(path: str) -> tuple[Route, ...]:
    """For a blob with this path, whose address is all the authorisation that is asked for."""
    return (
        Route("PUT", path, blobs.put),
        Route("PUT", path, blobs.put_block, comp="block"),
        Route("PUT", path, blobs.put_block_list, comp="blocklist"),
        Route("PUT", path, blobs.put_metadata, comp="metadata"),
        Route("HEAD", path, blobs.head),
        Route("GET", path, blobs.get),
        Route("GET", path, blob_lists.list_blocks, comp="blocklist"),
    )


BLOBS = blob_routes(f"/{BLOB_CONTAINER}/{_CONTAINER}/{{path*}}")
