"""Nodes and processes: every number positive, and one product of them."""

from collections.abc import Sequence

from submit.preflight.findings import Finding, error
from submit.preflight.training_arguments import given

LAUNCHERS = ("pytorch", "mpi")


def check_count(flag: str, value: object) -> list[Finding]:
    """azureml-core takes 0, -1 and '8' as they come."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return []
    return [error(f"{flag} {value!r}: expected a whole number of at least 1")]


def check_launcher(launcher: str) -> list[Finding]:
    if launcher in LAUNCHERS:
        return []
    return [error(f"--launcher {launcher!r}: expected 'pytorch' or 'mpi'")]


def check_total(nodes: int, total: int) -> list[Finding]:
    """A total that doesn't divide by the nodes, which azureml-core sends and the cluster fails at."""
    if total % nodes == 0:
        return []
    return [
        error(
            f"{total} processes on --nodes {nodes}: expected as many on each node; "
            f"{nodes * (total // nodes + 1)} processes would be {total // nodes + 1} on each"
        )
    ]


def check_trainer(nodes: int, processes_per_node: int, arguments: Sequence[str]) -> list[Finding]:
    """Counts of its own that the training command brings along."""
    owners = {
        "--trainer.num_nodes": ("--nodes", nodes),
        "--trainer.devices": ("--processes_per_node", processes_per_node),
    }
    return [
        error(f"{flag} {value!r} and {owner} {count} disagree; give {owner} alone, from which the trainer gets its own")
        for flag, value in given(arguments, tuple(owners))
        for owner, count in (owners[flag],)
        if value not in (str(count), "auto")
    ]


def check_processes(
    nodes: object, processes_per_node: object, launcher: str, arguments: Sequence[str] = ()
) -> list[Finding]:
    """All there is to say of them."""
    findings = [
        *check_count("--nodes", nodes),
        *check_count("--processes_per_node", processes_per_node),
        *check_launcher(launcher),
    ]
    if isinstance(nodes, int) and isinstance(processes_per_node, int) and not findings:
        findings = check_trainer(nodes, processes_per_node, arguments)
    return findings
