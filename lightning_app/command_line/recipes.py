"""``--recipe NAME``: settings that are known to reach an accuracy, in files that come with this package.

It loads neither torch nor Lightning.
"""

from collections.abc import Sequence
from pathlib import Path

from lightning_app.command_line.flags import flag_values, suggestion, without_flag
from lightning_app.errors import UsageError, shown

RECIPE = "--recipe"
_FOLDER = Path(__file__).parents[1] / "recipes"


def recipe_names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def with_recipe(flags: Sequence[str]) -> list[str]:
    """The flags with the recipe's file in the place of its name, before all others, which count more therefore.

    Raises:
        UsageError: There is no such recipe, or more than one is given.
    """
    given = [value for _, value in flag_values(flags, RECIPE)]
    if not given:
        return list(flags)
    names = recipe_names()
    if len(given) > 1:
        raise UsageError(f"{RECIPE}: given {len(given)} times; give one of {', '.join(names)}")
    if given[0] not in names:
        expected = f"expected one of {', '.join(names)}{suggestion(given[0], names)}"
        raise UsageError(f"{RECIPE} {shown(given[0])}: no such recipe; {expected}")
    return [f"--config={_FOLDER / given[0]}.yaml", *without_flag(flags, RECIPE)]
