"""How requests are shown."""

from typing import Any

import yaml


def to_yaml(content: dict[str, Any]) -> str:
    """YAML in the order of the content."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
