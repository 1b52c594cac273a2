"""Polarity pairs: a query with a completion for the concept and one against it."""

import hashlib
import json
import random
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from typing import TypeVar, overload

from ..errors import InputError
from .blocks import blocks_of

T = TypeVar("T")
OPTION = re.compile(r"\W*(yes|no|true|false|[a-z]|\d)\W*", re.IGNORECASE)
"""A completion that is nothing but an answer to choose: " Yes", "(A)", "2."."""


@dataclass(frozen=True)
class PolarityPair:
    """One query, one completion for the concept and one against it; completions usually begin with a space.

    The texts are never edited: the model reads `query + positive` or `query + negative`, character by character.
    The completions must exclude each other, or preference and utility are not defined (arXiv 2602.02343, eqs. 7-8).
    A completion against the concept may answer a query of its own, where texts of either side had to be matched
    (`matching.py`): means and losses of either side are then those of its own texts.
    """

    query: str
    positive: str
    negative: str
    id: str = ""
    group: str = ""
    answer_key: str = ""
    """The answer that the positive completion is, of those to choose from, where the completions do not say so themselves."""
    negative_query: str | None = None
    """What the negative completion answers, if that is another query."""

    def __post_init__(self) -> None:
        for name, text in vars(self).items():
            if text is not None and not text.isascii() and text.encode(errors="ignore").decode() != text:
                raise InputError(f"The {name} holds half of a surrogate pair, which is no character.")
        for role, completion in (("positive", self.positive), ("negative", self.negative)):
            if not completion.strip():
                raise InputError(f"The {role} completion is empty: write what the model would add to the query.")
        if not self.is_matched and self.positive == self.negative:
            raise InputError(f"Both completions are {reprlib.repr(self.positive)}: a pair needs two that differ.")
        shorter, longer = sorted((self.positive, self.negative), key=len)
        if not self.is_matched and longer.startswith(shorter):
            raise InputError(
                f"The completion {reprlib.repr(shorter)} begins the other one, {reprlib.repr(longer)}, so the two "
                "do not exclude each other: end both in a way that tells them apart, for example with a full stop."
            )

    @property
    def queries(self) -> tuple[str, str]:
        """What each completion answers, the positive one first."""
        return self.query, self.query if self.negative_query is None else self.negative_query

    @property
    def texts(self) -> tuple[str, str, str, str]:
        """All that the pair says: its queries and its completions."""
        return *self.queries, self.positive, self.negative

    @property
    def is_matched(self) -> bool:
        """Whether its completions answer different queries."""
        return self.queries[0] != self.queries[1]

    @property
    def key(self) -> str:
        """The answer that stands for the concept, of those to choose from; "" where both completions are free text."""
        chosen = [found[1].capitalize() for text in (self.positive, self.negative) if (found := OPTION.fullmatch(text))]
        return self.answer_key or (chosen[0] if len(set(chosen)) == 2 else "")

    def __repr__(self) -> str:
        texts = (f"{name}={reprlib.repr(text)}" for name, text in vars(self).items() if text not in ("", None))
        return f"PolarityPair({', '.join(texts)})"


@dataclass(frozen=True)
class Pairs(Sequence[PolarityPair]):
    """An ordered, named collection of polarity pairs; the name is a label and does not count in comparisons."""

    items: tuple[PolarityPair, ...]
    name: str = field(compare=False)
    group_columns: tuple[str, ...] = field(default=(), compare=False)
    """Columns of its table that could say which pairs are alike, where no group does."""

    def __repr__(self) -> str:
        groups = f" in {len(self.groups)} groups" if self.groups else ""
        return f"Pairs({reprlib.repr(self.name)}, {len(self)} pairs{groups})"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[PolarityPair]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> PolarityPair: ...
    @overload
    def __getitem__(self, index: slice) -> "Pairs": ...
    def __getitem__(self, index: int | slice) -> "PolarityPair | Pairs":
        return replace(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]

    def to_json_lines(self) -> str:
        """The canonical text of the pairs: one JSON object on a line, what few pairs have only where there is one."""
        rows = (
            {"id": pair.id, "query": pair.query, "positive": pair.positive, "negative": pair.negative}
            | {name: value for name in ("group", "answer_key") if (value := getattr(pair, name))}
            | ({"negative_query": pair.negative_query} if pair.is_matched else {})
            for pair in self
        )
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)

    @property
    def fingerprint(self) -> str:
        """Sixteen digits of the canonical text's SHA-256; they change with any edit of a pair and with the order."""
        return hashlib.sha256(self.to_json_lines().encode()).hexdigest()[:16]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, each once, in order of appearance."""
        return tuple(dict.fromkeys(pair.group for pair in self if pair.group))

    def swapped(self) -> "Pairs":
        """The same pairs with the roles of their completions exchanged."""
        known = sorted({pair.answer_key for pair in self} - {""})
        other = dict(zip(known, known[::-1], strict=True)) if len(known) == 2 else {}
        items = tuple(
            replace(
                pair,
                query=pair.queries[1],
                positive=pair.negative,
                negative=pair.positive,
                answer_key=other.get(pair.answer_key, ""),
                negative_query=pair.query if pair.is_matched else None,
            )
            for pair in self
        )
        return replace(self, items=items, name=f"{self.name}-swapped")

    def distinct(self) -> "Pairs":
        """Each pair once, the first of its copies, whatever their ids and groups; copies tell nothing new."""
        texts = [pair.texts for pair in self]
        first = {text: row for row, text in reversed(list(enumerate(texts)))}
        return self if len(first) == len(self) else self._select(first.values())

    def sample(self, n_pairs: int, *, seed: int = 0) -> "Pairs":
        """`n_pairs` of the pairs, drawn without replacement and kept in order."""
        if not 0 < n_pairs <= len(self):
            raise InputError(f"Cannot draw {n_pairs} pairs from {self.name}, which has {len(self)}.")
        return self._select(random.Random(seed).sample(range(len(self)), n_pairs), f"sample{n_pairs}")

    def balanced_sample(self, n_pairs: int, *, seed: int = 0) -> "Pairs":
        """At most `n_pairs` of the pairs, drawn as evenly over their keys as these allow, then over their groups, and kept in
        order."""
        if n_pairs < 1:
            raise InputError(f"Cannot draw {n_pairs} pairs from {self.name}: draw at least one.")
        if n_pairs >= len(self):
            return self
        rows = random.Random(seed).sample(range(len(self)), len(self))
        rows = _by_turns(rows, lambda row: (self[row].key, self[row].group))
        return self._select(_by_turns(rows, lambda row: self[row].key)[:n_pairs])

    def split(self, fraction: float = 0.5, *, seed: int = 0, by_group: bool | None = None) -> tuple["Pairs", "Pairs"]:
        """About `fraction` of the pairs, drawn at random, and the rest; both keep their order and hold at least one.

        Copies never stand on both sides, nor do equal queries and completions, unless they are common (`blocks_of`), nor a
        group, unless `by_group` is False; a pair without a group may go anywhere. Each key is as common on either side. By
        default pairs that are all of one group are split as if they had none; `by_group=True` refuses that.
        """
        if not 0 < fraction < 1:
            raise InputError(f"The fraction of a split lies between 0 and 1, not at {fraction}.")
        if by_group and (len(self.groups) < 2 or not all(pair.group for pair in self)):
            raise InputError(
                f"A split by group needs a group on every pair, and two groups or more; {self.name} has "
                f"{len(self.groups)}, and {sum(not pair.group for pair in self)} of its {len(self)} pairs have none. "
                "Load it with group=<the column that names the topic or template>."
            )
        texts = [pair.texts for pair in self]
        blocks = blocks_of(texts, [] if by_group is False else [pair.group for pair in self])
        if len(set(blocks)) == 1 and not by_group:
            blocks = blocks_of(texts)
        if len(set(blocks)) < 2:
            has = f"{len(self)} pairs, all copies of one" if len(self) > 1 else f"{len(self)} pair"
            raise InputError(f"{self.name} has {has}: a split needs two or more that differ.")
        rows: dict[int, list[int]] = {}
        for row, block in enumerate(blocks):
            rows.setdefault(block, []).append(row)

        shuffled = list(rows.values())
        random.Random(seed).shuffle(shuffled)
        shuffled = _by_turns(shuffled, lambda some: tuple(sorted({self[row].key for row in some})), in_proportion=True)
        sizes = list(accumulate(map(len, shuffled)))
        cut = 1 + min(range(len(shuffled) - 1), key=lambda last: abs(sizes[last] - fraction * len(self)))
        return self._select(chain(*shuffled[:cut]), "first"), self._select(chain(*shuffled[cut:]), "rest")

    def _select(self, rows: Iterable[int], part: str = "") -> "Pairs":
        name = f"{self.name}-{part}" if part else self.name
        return replace(self, items=tuple(self.items[row] for row in sorted(rows)), name=name)


def _by_turns(items: Sequence[T], label: Callable[[T], Hashable], *, in_proportion: bool = False) -> list[T]:
    """The first of each label, then the second of each, and so on; `in_proportion`, so that each is spread over the whole."""
    labels = [label(item) for item in items]
    seen, count = Counter[Hashable](), Counter(labels)
    turns = []
    for one in labels:
        turns.append((seen[one] + 0.5) / count[one] if in_proportion else seen[one])
        seen[one] += 1
    return [items[at] for at in sorted(range(len(items)), key=turns.__getitem__)]
