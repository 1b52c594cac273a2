"""Tables in Markdown, as benchmarks/README.md carries them."""

import statistics
from collections.abc import Sequence


def head(*cells: str) -> str:
    """The head of a table, numbers on the right."""
    return f"\n{line(*cells)}\n|---|{'---:|' * (len(cells) - 1)}"


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> str:
    """The median, and between what it lies."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
