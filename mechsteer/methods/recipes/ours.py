"""Our defaults: each pair once, at +m or -m, its losses per token its own, and steps that are shares of the activations' size."""

from typing import Any

from ...errors import InputError

NAME = "ours"
ORDER = 10


def switches(method: str, form: str, experiment: str) -> dict[str, Any]:
    """Nothing departs from the defaults."""
    if experiment:
        raise InputError(f"The recipe ours has no experiment {experiment!r}. Write --recipe ours.")
    return {}
