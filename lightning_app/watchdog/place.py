"""Which process of a training an agent stands beside."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Node and number on it; the rank among all, where that is known by now."""

    node: int
    local_rank: int
    rank: int | None = None

    @property
    def is_first(self) -> bool:
        return self.node == 0 and self.local_rank == 0

    @property
    def key(self) -> tuple[int, int]:
        return self.node, self.local_rank

    def named(self, address: str) -> str:
        rank = f"rank {self.rank}" if self.rank is not None else f"process {self.local_rank}"
        return f"{rank} (node {self.node}, {address})" if address else f"{rank} (node {self.node})"

    def as_message(self) -> dict[str, Any]:
        return asdict(self)
