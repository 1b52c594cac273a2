"""Blocks: pairs that stand on one side of a split together, because what is learned of one is learned of the other."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

Texts = tuple[str, str, str, str]
"""What the positive text answers and what the negative one does, positive, negative."""


def blocks_of(pairs: Sequence[Texts], groups: Sequence[str] = ()) -> list[int]:
    """The block of each pair, by the number of its first row.

    Copies are one block, either way around, and so is a group. Pairs with an equal query are joined, and so are pairs with an
    equal completion, unless that would join more than half of all: a text as common as that is the prompt that all share, or an
    answer to choose from ("Yes", "(A)"), which every side needs. White space around a text does not count.
    """
    stripped = [tuple(text.strip() for text in texts) for texts in pairs]
    copies = [(row, frozenset(zip(texts[:2], texts[2:], strict=True))) for row, texts in enumerate(stripped)]
    blocks = _joined(len(pairs), copies, ((row, group) for row, group in enumerate(groups) if group))
    queries = [(row, query) for row, texts in enumerate(stripped) for query in texts[:2] if query]
    completions = [(row, text) for row, texts in enumerate(stripped) for text in texts[2:]]
    for shared in (queries, completions):
        wider = _joined(len(pairs), enumerate(blocks), shared)
        sizes = Counter(wider)
        blocks = [one if 2 * sizes[one] <= len(pairs) else block for one, block in zip(wider, blocks, strict=True)]
    return blocks


def _joined(n_rows: int, *links: Iterable[tuple[int, Hashable]]) -> list[int]:
    """The first row of each row's block, where rows with the same label are of one block; each links has its own labels."""
    above = list(range(n_rows))

    def first(row: int) -> int:
        while above[row] != row:
            above[row] = row = above[above[row]]
        return row

    for labelled in links:
        seen: dict[Hashable, int] = {}
        for row, label in labelled:
            one, other = first(row), first(seen.setdefault(label, row))
            above[max(one, other)] = min(one, other)
    return [first(row) for row in range(n_rows)]
