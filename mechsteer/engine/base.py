"""What an engine does: losses of polarity pairs under a steer, as numbers by multiplier or with gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..interventions import Intervention
from ..models.model import Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .prefix import Prefix
from .rows import n_tokens

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Engine(ABC):
    """Both engines give the same numbers; `Plain` is for reading, `Fast` for speed."""

    model: Model

    @abstractmethod
    def sweep(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[ndarray, " m"],
        positions: str,
        *,
        batch_tokens: int | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> tuple[Float[ndarray, "m 2 pairs"], Float[ndarray, "sites 4 m pairs"]]:
        """Losses (nats) of the positive and the negative completions of one batch, and relative shifts ‖shift‖/‖h‖.

        Of these, at each of the intervention's sites, the `STATISTICS` over the steered tokens of both texts
        (relative_shift.py). `advance` is called for each multiplier that is done.
        """

    @abstractmethod
    def activations(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[ndarray, " m"],
        positions: str,
        sites: Sequence[Site],
        tokens: Int[ndarray, "n 3"],
    ) -> list[Float[ndarray, "m n _"]]:
        """What stands at each site, the shift included, at some tokens of one batch: (pair, 0 or 1, position in its text).

        0 is a pair's positive text, 1 its negative one. Sites come in the order in which a forward passes them, none
        before the intervention's first.
        """

    @abstractmethod
    def prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> list[Prefix] | None:
        """What `losses` can go on from, for each pair; None if it computes everything anew."""

    def kept(self, key: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        """A value of the unsteered model: computed, unless this engine keeps such (unsteered.py)."""
        return compute()

    @abstractmethod
    def losses(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[Tensor, " pairs"],
        positions: str,
        *,
        prefixes: Sequence[Prefix] | None = None,
    ) -> AbstractContextManager[Float[Tensor, "2 pairs"]]:
        """Losses (nats, float64) with gradients to the intervention's tensors, each pair under its own multiplier.

        Args:
            prefixes: of these pairs, at the intervention's first site.

        The backward pass belongs inside the block: with gradient checkpointing it runs the blocks, and their hooks, again.
        """


def batches_of_pairs(pairs: Sequence[EncodedPair], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of pairs, longest first, in batches of about so many tokens, padding included; one pair at least."""
    order = sorted(range(len(pairs)), key=lambda index: -n_tokens(pairs[index]))
    while order:
        size = max(1, batch_tokens // n_tokens(pairs[order[0]]))
        yield order[:size]
        order = order[size:]


def batches_to_sweep(
    model: Model, pairs: Sequence[EncodedPair], n_multipliers: int, batch_tokens: int | None = None
) -> Iterator[list[int]]:
    """The same for so many multipliers: a quarter of a forward, of rows of like length; multipliers take the rest."""
    return batches_of_pairs(pairs, (batch_tokens or default_batch_tokens(model)) // min(4, n_multipliers))


def default_batch_tokens(model: Model, *, with_gradients: bool = False) -> int:
    """Tokens in a forward, if nobody says: enough to keep the device busy, and few enough to stay small."""
    if model.device.type != "cpu":
        return 2_048 if with_gradients else 16_384
    # Beyond this a core gets no faster, and memory grows with it; what gradients need is kept for every block.
    return max(256, (400_000 if with_gradients else 450_000) // model.d_model)
