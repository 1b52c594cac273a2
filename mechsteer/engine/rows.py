"""A row for each pair: what its two texts share once, then the rest of each, which goes on from where they part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ..models.positions import begins_with, steered
from ..models.prompts import EncodedPair

QUERY, SHARED, POSITIVE, NEGATIVE, PADDING = range(5)
"""Parts of a row: what both queries begin with, tokens that both completions begin with, the rest of each text, and nothing."""


@dataclass(frozen=True, eq=False)
class PairRows:
    """Token ids with their positions in the text and the part of the pair they belong to, padded on the right.

    A token sees what its own text holds before it, and its position is that in its own text: each text is computed as if
    it stood alone.
    """

    tokens: Int[Tensor, "pairs pos"]
    positions: Int[Tensor, "pairs pos"]
    part: Int[Tensor, "pairs pos"]
    is_completion: Bool[Tensor, "pairs pos"]
    """Where queries differ, what is left of each belongs to the rest of its text and to no completion."""

    @classmethod
    def of(cls, pairs: Sequence[EncodedPair], padding_token: int, device: torch.device) -> "PairRows":
        width = max(n_tokens(pair) for pair in pairs)
        rows, forks = [], [fork(pair) for pair in pairs]
        for pair, end in zip(pairs, forks, strict=True):
            positive, negative, rest = len(pair.positive), len(pair.negative), width - n_tokens(pair)
            trunk = min(*pair.begins, end)
            parts = [QUERY] * trunk + [SHARED] * (end - trunk)
            asked = [at >= pair.begins[0] for at in range(positive)] + [
                at >= pair.begins[1] for at in range(end, negative)
            ]
            rows.append(
                (
                    [*pair.positive, *pair.negative[end:]] + [padding_token] * rest,
                    [*range(positive), *range(end, negative)] + [0] * rest,
                    parts + [POSITIVE] * (positive - end) + [NEGATIVE] * (negative - end) + [PADDING] * rest,
                    asked + [False] * rest,
                )
            )
        tokens, positions, part, asked = torch.tensor(rows, device=device).unbind(dim=1)
        return cls(tokens, positions, part, asked.bool())

    @property
    def begin(self) -> Int[Tensor, " pairs"]:
        """The column at which the completions begin, or where queries differ, the texts part."""
        return (self.part == QUERY).sum(dim=1)

    @property
    def fork(self) -> Int[Tensor, " pairs"]:
        """The column at which they part."""
        return ((self.part == QUERY) | (self.part == SHARED)).sum(dim=1)

    def column(
        self, pair: Int[Tensor, " n"], is_negative: Bool[Tensor, " n"], position: Int[Tensor, " n"]
    ) -> Int[Tensor, " n"]:
        """Where a pair's row holds the token at this position of one of its texts."""
        fork, end_of_positive = self.fork[pair], (self.part <= POSITIVE).sum(dim=1)[pair]
        return torch.where(is_negative & (position >= fork), position - fork + end_of_positive, position)

    @property
    def present(self) -> Bool[Tensor, "pairs pos"]:
        return self.part != PADDING

    def of_text(self, part: int) -> Bool[Tensor, "pairs pos"]:
        """The tokens of the texts that end with this part, `POSITIVE` or `NEGATIVE`."""
        return (self.part < POSITIVE) | (self.part == part)

    def steered(self, positions: str, bos_token: int | None) -> Bool[Tensor, "pairs pos"]:
        """The tokens that `steer` means by these positions."""
        begins = begins_with(bos_token, self.tokens, self.positions == 0)
        return steered(positions, present=self.present, begins=begins, is_completion=self.is_completion)

    def predictions(self) -> "Predictions":
        """What every completion token is predicted from: the token before it in its text."""
        row, column = self.is_completion.nonzero(as_tuple=True)
        part = self.part[row, column]
        starts_negative = (part == NEGATIVE) & (self.part[row, column - 1] != NEGATIVE)
        before = torch.where(starts_negative, self.fork[row] - 1, column - 1)
        return Predictions(row, before, target=self.tokens[row, column], part=part)

    def queries(self) -> "PairRows":
        """What queries share alone."""
        width = int(self.begin.max())
        part = torch.where(self.part[:, :width] == QUERY, QUERY, PADDING)
        nothing = torch.zeros_like(part, dtype=torch.bool)
        return PairRows(self.tokens[:, :width], self.positions[:, :width], part, nothing)

    def needed(self, positions: str, *, with_last: bool = False) -> Bool[Tensor, "pairs pos"]:
        """What depends on a steer of these positions and something is predicted from: not the last token of a text, unless it is
        asked for, nor, where completions alone are steered, what queries share."""
        read = self.present & (self.part != QUERY) if positions == "completion" else self.present
        if with_last:
            return read
        own = (self.part == POSITIVE) | (self.part == NEGATIVE)
        beyond = torch.full_like(self.part[:, :1], PADDING)
        is_last = own & (self.part != torch.cat([self.part[:, 1:], beyond], dim=1))
        return read & ~is_last

    def take(self, kept: "Kept") -> "PairRows":
        tokens, positions, part, asked = (kept.of(values) for values in vars(self).values())
        is_kept = kept.columns < self.tokens.shape[1]
        return PairRows(tokens, positions, torch.where(is_kept, part, PADDING), asked & is_kept)

    def beside(self, other: "PairRows") -> "PairRows":
        """These columns, then those of the other."""
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return PairRows(*(torch.cat(columns, dim=1) for columns in both))

    def repeat(self, times: int) -> "PairRows":
        return PairRows(*(repeated(values, times) for values in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Predictions:
    """Where each completion token is predicted, and what it is."""

    row: Int[Tensor, " n"]
    column: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    part: Int[Tensor, " n"]

    def where(self, chosen: Bool[Tensor, " n"]) -> "Predictions":
        return Predictions(*(values[chosen] for values in vars(self).values()))

    def take(self, kept: "Kept") -> "Predictions":
        """The same in rows of which these columns are kept; all that are predicted from must be among them."""
        return replace(self, column=kept.before[self.row, self.column])

    def repeat(self, times: int, n_rows: int) -> "Predictions":
        """Those of repeated rows."""
        row = torch.cat([self.row + n_rows * time for time in range(times)])
        return Predictions(row, *(repeated(values, times) for values in (self.column, self.target, self.part)))

    def sums(self, losses: Float[Tensor, "*m n"], n_rows: int) -> Float[Tensor, "*m 2 rows"]:
        """The tokens' losses by completion: positive ones, then negative ones; shared tokens count in both."""
        row, part = self.row.to(losses.device), self.part.to(losses.device)
        zeros = losses.new_zeros(*losses.shape[:-1], n_rows)
        sums = [zeros.index_add(-1, row, torch.where(part != other, losses, 0.0)) for other in (NEGATIVE, POSITIVE)]
        return torch.stack(sums, dim=-2)


@dataclass(frozen=True, eq=False)
class Kept:
    """Some columns of each row, moved together; rows that keep fewer are filled up."""

    columns: Int[Tensor, "pairs taken"]
    """Which they were; filled up with the first column beyond the row."""
    before: Int[Tensor, "pairs pos"]
    """How many are kept before each column."""

    @classmethod
    def where(cls, chosen: Bool[Tensor, "pairs pos"]) -> "Kept":
        n = chosen.sum(dim=1)
        columns = torch.argsort(~chosen, dim=1, stable=True)[:, : int(n.max())]
        is_kept = torch.arange(columns.shape[1], device=n.device) < n[:, None]
        columns = torch.where(is_kept, columns, chosen.shape[1])
        return cls(columns, chosen.cumsum(dim=1) - chosen.long())

    def of(self, values: Shaped[Tensor, "pairs pos *rest"]) -> Shaped[Tensor, "pairs taken *rest"]:
        """These columns of the values; where a row is filled up, the last column's."""
        columns = self.columns.to(values.device).clamp(max=values.shape[1] - 1)
        return values[torch.arange(len(values), device=values.device)[:, None], columns]


def fork(pair: EncodedPair) -> int:
    """The first position at which the two texts differ."""
    both = zip(pair.positive, pair.negative, strict=False)
    return next(position for position, (one, other) in enumerate(both) if one != other)


def n_tokens(pair: EncodedPair) -> int:
    """Of the pair's row."""
    return len(pair.positive) + len(pair.negative) - fork(pair)


def visible(asking: PairRows, asked: PairRows, window: int | None = None) -> Bool[Tensor, "pairs asking asked"]:
    """Which tokens each token sees. A window counts positions in the text, not columns; padding sees itself alone."""
    of_asking, of_asked = (rearrange(asking.part, "b i -> b i 1"), rearrange(asked.part, "b j -> b 1 j"))
    back = rearrange(asking.positions, "b i -> b i 1") - rearrange(asked.positions, "b j -> b 1 j")
    trunk = (of_asked == QUERY) | (of_asked == SHARED)
    seen = (trunk & (of_asking != PADDING) | (of_asked == of_asking)) & (back >= 0)
    return seen if window is None else seen & (back < window)


def repeated(values: Shaped[Tensor, "*rows"], times: int) -> Shaped[Tensor, "*all"]:
    """The rows, and again the rows, ...; themselves if once is enough."""
    return values if times == 1 else values.repeat(times, *[1] * (values.ndim - 1))
