"""Whether the logger will find the run that Azure ML has started. No secret is in what it says."""

from collections.abc import Mapping
from datetime import datetime, timezone

from lightning_app import azureml_job
from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.place import Row

_EXPIRY = "AZUREML_RUN_TOKEN_EXPIRY"  # seconds since 1970


def run_rows(environment: Mapping[str, str]) -> list[Row]:
    """Names of variables, the run's id and when its token ends."""
    run, absent = azureml_job.run_id(environment), azureml_job.half_missing(environment)
    if absent:
        return [("logger", f"no run: {len(absent)} of the job's variables not set, see below")]
    if run is None:
        return [("logger", "no Azure ML job: the journal alone")]
    ends = _expiry(environment)
    return [
        ("logger", f"run {run}"),
        ("its token", f"valid until {ends:%Y-%m-%d %H:%M} UTC" if ends else "no end told"),
    ]


def missing_variables(environment: Mapping[str, str]) -> Contradiction | None:
    """azureml-core goes offline without a word then."""
    absent = azureml_job.half_missing(environment)
    if not absent:
        return None
    what = f"{', '.join(absent)} not set, and others of an Azure ML job are: metrics stay in the journal"
    return Contradiction(what, "hand on all AZUREML_ variables of the job to this process")


def expired_token(environment: Mapping[str, str], now: datetime) -> Contradiction | None:
    """Asked of a live process alone: that an old dump's token has ended is no news."""
    ends = _expiry(environment)
    if azureml_job.run_id(environment) is None or ends is None or ends > now:
        return None
    what = f"the run's token ended at {ends:%Y-%m-%d %H:%M} UTC ({_EXPIRY}): Azure ML will refuse metrics"
    return Contradiction(what, "start a new job; the journal, outputs/metrics.jsonl, keeps all metrics meanwhile")


def _expiry(environment: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(environment[_EXPIRY]), timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
