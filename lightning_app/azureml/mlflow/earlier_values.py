"""Values that a run has from a disk that was lost with its node, and that a restarted job logs again.

They come again with another time, so they are known by name and step: as many of them as the run has. What an earlier
training in the same folder has logged is older than the folder's present journal; a tag of the run says when each of
its journals began.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from lightning_app.azureml.service import Attempt

_Place = tuple[str, int, int]
"""Name, step and time of a value."""
BEGUN_TAG = "metrics_begun"


class HasTags(Protocol):
    """A run at the service."""

    def tags(self) -> dict[str, str]: ...
    def set_tags(self, tags: Mapping[str, str]) -> None: ...


def begin_generation(run: HasTags, attempt: Attempt) -> int:
    """When this journal began, in milliseconds since 1970, also where its first rows were lost with a disk.

    The tag is a list such as ``1:1764412800000,2:1764416400000``, of the number of the journal and its time.
    """
    name = f"{attempt.prefix}{BEGUN_TAG}"
    text = run.tags().get(name, "")
    known = dict(part.split(":") for part in text.split(",") if part.count(":") == 1)
    number = str(attempt.generation)
    if number not in known:
        first = min((value.milliseconds for value in attempt.logged()), default=None)
        known[number] = str(_milliseconds(attempt.begun) if first is None else first)
        run.set_tags({name: ",".join(f"{key}:{value}" for key, value in known.items())})
    return int(known[number])


class EarlierValues:
    """Says of each value, given in the order of the journal, whether the run has it from a lost disk.

    Args:
        stored: What the run has.
        logged: What the journal has now, in its order.
        begun: When the journal began, see ``begin_generation``.
        delivery_begun: When the delivery from this disk began; None if that isn't known.
    """

    def __init__(
        self, stored: Sequence[_Place], logged: Iterable[_Place], begun: int, delivery_begun: datetime | None
    ) -> None:
        exact, own = set(stored), list(logged)
        end = _milliseconds(delivery_begun)
        lost = {place for place in exact if begun <= place[2] < end}.difference(own)
        self._left = Counter(place[:2] for place in lost)
        self._count = len(lost)
        self._found: dict[_Place, bool] = {}
        for place in own:
            if place in exact:
                self._found[place] = True
            else:
                self.has(place)

    def has(self, place: _Place) -> bool:
        if place in self._found:
            return self._found[place]
        if not self._count:
            return False
        is_repeated = self._left[place[:2]] > 0
        if is_repeated:
            self._left[place[:2]] -= 1
            self._count -= 1
        self._found[place] = is_repeated  # a value may be asked for again, after a failure
        return is_repeated


def _milliseconds(time: datetime | None) -> int:
    return 0 if time is None else round(time.timestamp() * 1000)
