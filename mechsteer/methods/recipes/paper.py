"""The paper's text (arXiv 2602.02343, eqs. 18-20), with the numbers of its public code."""

from typing import Any

from . import public

NAME = "paper"
ORDER = 20
TEXT = {
    "directions": "half", "independent_multipliers": False, "batch_means": False, "prompt_lengths": False,
    "wide_start": False, "bypass": False,
}  # fmt: skip
"""Both directions, one m and one hinge for a pair, completion lengths, a LoRA that starts as in its own paper, at the weight."""


def switches(method: str, form: str, experiment: str) -> dict[str, Any]:
    """The public code's numbers, and the text where the two differ."""
    return public.switches(method, form, experiment) | TEXT
