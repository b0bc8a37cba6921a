"""The metrics of a run, as the workspace's MLflow interface has them."""

from typing import TYPE_CHECKING

from submit.v2 import mlflow

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_MOST = 2  # values that say whether a metric has one


def last_metrics(client: "MLClient", run_id: str) -> dict[str, float]:
    """The last value of each metric; empty for a run that MLflow doesn't know yet."""
    run = (mlflow.get(client, "runs/get", {"run_id": run_id}) or {}).get("run") or {}
    metrics = run.get("data", {}).get("metrics") or []
    return {each["key"]: float(each["value"]) for each in sorted(metrics, key=lambda each: str(each["key"]))}


def is_single(client: "MLClient", run_id: str, name: str) -> bool:
    """Whether a metric was logged once."""
    given = {"run_id": run_id, "metric_key": name, "max_results": str(_MOST)}
    return len((mlflow.get(client, "metrics/get-history", given) or {}).get("metrics") or []) == 1
