"""What a job costs at most, and a deployment a day, in one line, before anything is spent."""

from submit.deployment.deployment import Deployment
from submit.interface import Nodes
from submit.job import SERVERLESS, Job
from submit.prices import Price, Prices

LONGEST = 30 * 86400  # seconds; azureml-core's own limit for a job that has none
HOURS_OF_A_MONTH = 730  # as Azure's pricing calculator counts
_HOUR = 3600


def describe_cost(job: Job, nodes: Nodes | None, prices: Prices, runs: int = 1) -> str:
    """The cost of a job, or of the ``runs`` of a sweep; without a price, why it isn't known.

    It is that of the nodes while the job runs: neither storage, nor the time for which a cluster keeps idle nodes.
    """
    if nodes is None:
        return f"cost: not known: {_why_unknown(job)}"
    price = prices.of(nodes.vm_size)
    if price is None:
        return _without_price(nodes.vm_size, prices)
    hours = (job.max_duration_seconds or LONGEST) / _HOUR
    node_hours = hours * job.nodes * runs
    hour = price.dedicated
    if nodes.low_priority and price.low_priority is not None and not price.is_at_best:
        hour = price.low_priority
    factors = [
        *([f"{runs} runs"] if runs > 1 else []),
        f"{job.nodes} {nodes.vm_size}",
        _amount(hour, prices, digits=3) + " an hour",
        f"{hours:,.4g} h" if job.max_duration_seconds else f"{hours:g} h, as there is no --max_duration",
    ]
    return (
        f"cost: at most {_amount(node_hours * hour, prices)} ({' x '.join(factors)})"
        f"{_other_priority(price, nodes, prices, node_hours)}{_origin(nodes.region, prices)}"
    )


def describe_deployment_cost(wanted: Deployment, region: str | None, prices: Prices) -> str:
    """The cost of a deployment's machines as long as it isn't deleted; without a price, why it isn't known.

    Args:
        wanted: The deployment; others at its endpoint cost as much as before.
        region: Of the workspace; None if it isn't known.
        prices: The price list.
    """
    price = prices.of(wanted.instance_type)
    if price is None:
        return _without_price(wanted.instance_type, prices)
    hour = wanted.instance_count * price.dedicated
    return (
        f"cost: {_amount(24 * hour, prices)} a day, {_amount(HOURS_OF_A_MONTH * hour, prices)} a month of "
        f"{HOURS_OF_A_MONTH} h, until it is deleted ({wanted.instance_count} {wanted.instance_type} x "
        f"{_amount(price.dedicated, prices, digits=3)} an hour){_origin(region, prices)}"
    )


def _without_price(vm_size: str, prices: Prices) -> str:
    return f"cost: not known: the price list ({prices.origin}) has no {vm_size}; give --prices FILE"


def _why_unknown(job: Job) -> str:
    if job.compute == SERVERLESS:
        return "Azure ML chooses the machine; give --vm_size"
    return f"the VM size of {job.compute!r} isn't known here; the workspace is asked before a job is sent"


def _other_priority(price: Price, nodes: Nodes, prices: Prices, node_hours: float) -> str:
    if price.low_priority is None:
        return ""
    low = _amount(node_hours * price.low_priority, prices)
    if price.is_at_best:
        return f"; {'its' if nodes.low_priority else 'with'} low priority {low} at best"
    if nodes.low_priority:
        return f"; with dedicated nodes {_amount(node_hours * price.dedicated, prices)}"
    return f"; with low priority {low}"


def _origin(region: str | None, prices: Prices) -> str:
    region = (region or "").lower().replace(" ", "")
    elsewhere = f", not those of {region}" if prices.region and region and region != prices.region.lower() else ""
    return f"; prices: {prices.origin}{elsewhere}" if prices.origin else ""


def _amount(value: float, prices: Prices, digits: int = 2) -> str:
    return f"{value:,.{digits}f} {prices.currency}".rstrip()
