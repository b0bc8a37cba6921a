"""What a rehearsal has shown, for people."""

from collections.abc import Iterator

from submit.rehearse import Rehearsal


def report(rehearsal: Rehearsal) -> str:
    """Exit codes by rank, metrics at the service, files that the run would have, warnings; the failed rank last."""
    return "\n".join([*_processes(rehearsal), "", *_metrics(rehearsal), "", *_files(rehearsal), *_warnings(rehearsal)])


def _processes(rehearsal: Rehearsal) -> Iterator[str]:
    yield "Processes:"
    for ended in rehearsal.ended:
        how = "ended because another one failed" if ended.was_ended else f"exit code {ended.status}"
        yield f"  rank {ended.place.rank} (node {ended.place.node}, process {ended.place.local_rank}): {how}"


def _metrics(rehearsal: Rehearsal) -> Iterator[str]:
    metrics = rehearsal.run.metrics
    yield "Metrics at the service:" if metrics else "Metrics at the service: none"
    for name, rows in metrics.items():
        last = rows[-1].data.get(name)
        value = f", last {last:.4g}" if isinstance(last, int | float) else ""
        yield f"  {name}: {len(rows)} value{'s' * (len(rows) != 1)}{value}"


def _files(rehearsal: Rehearsal) -> Iterator[str]:
    yield "Files of the run:"
    for path, content in sorted(rehearsal.run.artifacts.items()):
        yield f"  {path} ({len(content):,} bytes)"


def _warnings(rehearsal: Rehearsal) -> Iterator[str]:
    if not rehearsal.is_read_only:
        yield ""
        yield "warning: this system allows no mounts; the job had a link to the data, which it could have changed"
    for request in rehearsal.unknown:
        yield f"warning: the job asked for something that the rehearsed Azure ML doesn't know: {request}"
    for ended in rehearsal.ended:
        if ended.has_failed:
            yield f"\nrank {ended.place.rank} on node {ended.place.node} failed; its last lines:"
            yield from (f"  {line}" for line in ended.last_lines)
