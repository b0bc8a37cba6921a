"""List prices of machines by VM size: a small table of this project, or a file of the user's in the same form.

    date: 2026-11-01
    region: westeurope
    currency: EUR
    source: our contract
    low_priority_discount: 0.8            # what low priority saves at best, where a size has no price for it
    sizes:
      Standard_NC4as_T4_v3: 0.55          # of one node for an hour
      Standard_NC24ads_A100_v4: {price: 3.4, low_priority: 0.68}

Only ``sizes`` must be there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from submit.errors import SubmitError

_OWN = Path(__file__).with_suffix(".yaml")
_TEXTS = ("date", "region", "currency", "source")
_DISCOUNT = "low_priority_discount"
_FORM = "expected YAML with 'sizes', such as {sizes: {Standard_NC4as_T4_v3: 0.55}}"


@dataclass(frozen=True)
class Price:
    """Of one node for an hour.

    Attributes:
        low_priority: None where it isn't known.
        is_at_best: Whether that is the lowest that it can be, rather than the price.
    """

    dedicated: float
    low_priority: float | None = None
    is_at_best: bool = False


@dataclass(frozen=True)
class Prices:
    """Prices by VM size, in small letters, with where they come from."""

    sizes: Mapping[str, Price]
    date: str = ""
    region: str = ""
    currency: str = ""
    source: str = ""

    def of(self, vm_size: str) -> Price | None:
        return self.sizes.get(vm_size.lower())

    @property
    def origin(self) -> str:
        """As in ``eastus, 2025, Azure Retail Prices API``."""
        return ", ".join(text for text in (self.region, self.date, self.source) if text)


def read_prices(file: Path | None = None) -> Prices:
    """The prices in a file; without one, those of this project.

    Raises:
        SubmitError: It can't be read, or isn't a table of prices.
    """
    path = file or _OWN
    given = f"--prices {str(path)!r}"
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SubmitError(f"{given}: can't be read ({' '.join(str(error).split())}); {_FORM}") from error
    if not isinstance(content, dict) or not isinstance(content.get("sizes"), dict) or not content["sizes"]:
        raise SubmitError(f"{given}: has no sizes; {_FORM}")
    if unknown := sorted(map(str, content.keys() - {*_TEXTS, _DISCOUNT, "sizes"})):
        raise SubmitError(f"{given}: has {unknown[0]!r}; expected {', '.join(_TEXTS)}, {_DISCOUNT} and sizes")
    discount = content.get(_DISCOUNT)
    if discount is not None and not (_is_number(discount) and 0 <= discount < 1):
        raise SubmitError(f"{given}: {_DISCOUNT} is {discount!r}; expected a share from 0 to 1, such as 0.8")
    sizes = {str(size).lower(): _price(given, str(size), value, discount) for size, value in content["sizes"].items()}
    texts = {name: str(content[name]) for name in _TEXTS if content.get(name) is not None}
    return Prices(sizes, **texts)


def _price(given: str, size: str, value: Any, discount: float | None) -> Price:
    entry = value if isinstance(value, dict) else {"price": value}
    numbers = [*entry.values()]
    if "price" not in entry or entry.keys() - {"price", "low_priority"} or not all(map(_is_price, numbers)):
        raise SubmitError(
            f"{given}: {size} has {value!r}; expected the price of one node for an hour, such as 0.55, or "
            "{price: 0.55, low_priority: 0.11}"
        )
    dedicated = float(entry["price"])
    if "low_priority" in entry:
        return Price(dedicated, float(entry["low_priority"]))
    return Price(dedicated) if discount is None else Price(dedicated, dedicated * (1 - discount), is_at_best=True)


def _is_price(value: Any) -> bool:
    return _is_number(value) and 0 < value < float("inf")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
