"""The share of an endpoint's requests that each of its deployments gets; Azure ML wants a sum of 100, or of 0."""

from collections.abc import Mapping

from submit.errors import SubmitError

ALL = 100


def new_traffic(now: Mapping[str, int], name: str, wanted: int | None) -> dict[str, int]:
    """The traffic with a deployment's share, in percent; the others keep the rest in their proportion.

    Args:
        now: The shares of all deployments.
        name: The deployment.
        wanted: Its share; None: all if no other deployment has any, otherwise what it has.

    Raises:
        SubmitError: No other deployment could take the rest.
    """
    others = {other: share for other, share in now.items() if other != name and share > 0}
    if wanted is None:
        wanted = now.get(name, 0) if others else ALL
    if not others and wanted not in (0, ALL):
        raise SubmitError(
            f"--traffic {wanted}: no other deployment of the endpoint gets requests, which could take the other "
            f"{ALL - wanted} %; expected {ALL}, or 0"
        )
    return {name: wanted} | _shared(others, ALL - wanted)


def _shared(shares: Mapping[str, int], rest: int) -> dict[str, int]:
    """Whole numbers in proportion to the shares whose sum is the rest, by the largest remainders."""
    total = sum(shares.values())
    found = {name: share * rest // total for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: shares[name] * rest % total, reverse=True)
    for name in by_remainder[: rest - sum(found.values())]:
        found[name] += 1
    return found
