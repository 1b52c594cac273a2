"""Asking in words: two texts around a query, one for a concept and one against it."""

from dataclasses import dataclass, replace

from ..errors import InputError, shown
from .polarity import Pairs, PolarityPair

QUERY = "{query}"


@dataclass(frozen=True)
class Asking:
    """What is asked against the concept and for it; `{query}` marks where the query stands."""

    negative: str
    positive: str

    def __post_init__(self):
        for text in (self.negative, self.positive):
            if QUERY not in text:
                raise InputError(f"The text {shown(text)!r} does not say where the query stands. Write '... {QUERY}'.")

    def of(self, side: str, pairs: Pairs) -> Pairs:
        """The pairs with their queries asked so; `side` is "positive" or "negative"."""
        text = getattr(self, side)

        def asked(pair: PolarityPair) -> PolarityPair:
            query, other = (text.replace(QUERY, own) for own in pair.queries)
            return replace(pair, query=query, negative_query=other if pair.is_matched else None)

        return replace(pairs, items=tuple(map(asked, pairs)))
