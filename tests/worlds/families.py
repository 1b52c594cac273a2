"""Families of worlds: one thing grows, from where a claim is clearly true to where it is clearly false or the other way."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from analyses.claims import (
    causes,
    control,
    coverage,
    frozen_norms,
    linear_region,
    manifold_exists,
    off_manifold,
    one_mechanism,
    orthogonality,
    preference_curve,
    settles,
    split_wins,
    utility_curve,
    validity,
)
from analyses.claims.result import Result

from .chance import chance
from .completions import completions
from .curves import PREFERENCE, UTILITY, Planted, steer, two_steps
from .forms import vectors_and_lora
from .manifold import curved, make
from .methods import study
from .norms import frozen
from .panel import candidates, panel
from .readouts import QUIET, by_rank, readouts

N_POPULATION = 10_000
"""Pairs of which an estimate stands for all there could be."""


@dataclass(frozen=True)
class Family:
    """Worlds by the size of one thing; `build` makes of a size, with `seed` and `n_pairs`, what the analysis needs."""

    analysis: ModuleType
    world: str
    sizes: tuple[float, ...]
    build: Callable[..., Any]
    parts: tuple[str, ...] = ("",)
    """The claims that depend on it."""
    n_pairs: int = 200
    is_truth: bool = False
    """Whether the size itself is the truth; otherwise the claims' estimates of a population are."""
    right: int = 0
    """Which size makes the claims clearly true."""

    def judge(self, size: float, seed: int) -> Result:
        return self.analysis.run(self.build(size, seed=seed, n_pairs=self.n_pairs))

    def truth(self, size: float) -> dict[str, float]:
        """What each claim is about, in its own unit."""
        if self.is_truth:
            return dict.fromkeys(self.parts, size)
        found = self.analysis.run(self.build(size, seed=0, n_pairs=N_POPULATION)).claims
        return {claim.part: claim.estimate for claim in found if claim.part in self.parts}


def _mixed(one: Planted, other: Planted, share: float) -> Planted:
    return lambda multipliers: (1 - share) * one(multipliers) + share * other(multipliers)


def preference_in_waves(height: float, **settings: Any):
    """Eq. 15 with waves of so many nats, which no curve of the paper's has, in the useful range and beyond it."""
    return steer(lambda m: PREFERENCE(m) + height * np.sin(5 * np.arcsinh(m / 0.3)), **settings)


def utility_of_two_steps(share: float, **settings: Any):
    """Eq. 17, of which so much is exchanged for two logistic steps."""
    return steer(utility=_mixed(UTILITY, lambda multipliers: two_steps(multipliers) - 50, share), **settings)


def steepening(width: float, **settings: Any):
    """A preference that grows by a factor e with each `width` from zero: the wider, the more of it is a line."""
    return steer(lambda multipliers: 6 * np.sinh(multipliers / width) / np.sinh(0.5 / width), **settings)


def moving_utility(ratio: float, **settings: Any):
    """A steer along ω_p that moves utility by so much per nat of preference."""
    return readouts(utility=ratio, **settings)


def gaining_more(share: float, **settings: Any):
    """SPLIT gains so much more than SFT; another training of either gains 5 % more or less."""
    return study({"SPLIT": 2 * (1 + share), "SFT": 2.0}, seed_spread=0.05, **settings)


def decaying_by_distance(share: float, **settings: Any):
    """Pairs lose utility at paces that are their own distance's in this share, and something else's in the rest."""
    return make(decay_by_distance=share, **settings)


def shifted_apart(spread: float, **settings: Any):
    """Distance decides, and pairs' shifts differ by so much."""
    return make(spread=spread, **settings)


def thick(noise: float, **settings: Any):
    """A torus around which points scatter by so much in every direction, its circles having a radius of one."""
    return make(points=partial(curved, noise=noise), **settings)


def highest_at(centre: float, **settings: Any):
    """Utility is highest where the multiplier is so large."""
    return make(centre=centre, **settings)


def promising(ratio: float, **settings: Any):
    """Log-odds call a range useful that is so many times as wide as that of valid answers."""
    return make(promised=ratio, nats=2.0, **settings)


def losing_more(ratio: float, **settings: Any):
    """Other completions lose so many times as much utility as the pairs, and gain as much preference."""
    return completions(lost=ratio, **settings)


def losing_further_out(log_ratio: float, **settings: Any):
    """A LoRA that loses what vectors do at shifts that are so many times doubled."""
    return vectors_and_lora(2**log_ratio, **settings)


_PARTS = ("adequate", "best of rivals")
FAMILIES = [
    *(
        Family(preference_curve, "height of waves on eq. 15, nats", heights, preference_in_waves, _PARTS, n_pairs)
        for n_pairs, heights in ((200, (0.0,)), (1000, (0.0, 0.39, 0.8)), (4000, (0.0,)))
    ),
    *(
        Family(
            utility_curve, "share of eq. 17 exchanged for two logistic steps", shares, utility_of_two_steps, _PARTS, n_pairs
        )
        for n_pairs, shares in ((200, (0.0,)), (1000, (0.0, 0.065, 0.115, 0.5)), (4000, (0.0,)))
    ),
    Family(
        linear_region, "multipliers in which preference steepens by a factor e", (0.1, 0.14, 0.158, 0.162, 0.18, 0.3),
        steepening, ("line",), right=-1,
    ),
    *(
        Family(
            split_wins, f"share by which SPLIT gains more, {n} training seeds", (-0.5, 0.0, 0.2, 0.5),
            partial(gaining_more, n_seeds=n), is_truth=True, right=-1,
        )
        for n in (3, 5)
    ),
    *(
        Family(
            validity, f"how many times the range of valid answers log-odds promise, {n} answers",
            (0.5, 0.64, 0.8, 1.0, 1.25, 1.6, 2.0), partial(promising, n_answers=n), ("level",),
            is_truth=True, right=3,
        )
        for n in (64, 200)
    ),
    *(
        Family(
            off_manifold, "share of a pair's own pace of decay that is its distance's", (0.0, 0.1, 0.25, 0.5, 1.0),
            decaying_by_distance, ("explains",), n_pairs, is_truth=True, right=-1,
        )
        for n_pairs in (60, 200)
    ),
    Family(
        off_manifold, "spread of pairs' shifts, where distance decides", (0.0, 0.03, 0.1, 0.2, 0.35), shifted_apart,
        ("explains",), is_truth=True, right=-1,
    ),
    Family(
        off_manifold, "multiplier at which utility is highest", (0.0, 1.0, 2.0, 3.0), highest_at, ("monotone",),
    ),
    Family(
        manifold_exists, "spread of points around a torus", (0.02, 0.05, 0.1, 0.2, 0.4), thick, ("distance",), 60,
    ),
    *(
        Family(
            settles, "nats lost by a direction that does no other harm and gains three", (0.0, 0.05, 0.1, 0.2, 0.3), candidates,
            ("harmless displacement", "free preference"), n_pairs, is_truth=True,
        )
        for n_pairs in (96, 200)
    ),
    *(
        Family(
            one_mechanism, "log₂ of the shift at which other forms lose half a nat, beside that of vectors",
            (-1.0, -0.64, -0.32, 0.0, 0.32, 0.64, 1.0), losing_further_out, tuple(one_mechanism.SIDES), n_pairs,
            is_truth=True, right=3,
        )
        for n_pairs in (60, 200)
    ),
    Family(
        frozen_norms, "share of what steering changes that freezing adds", (0.0, 0.05, 0.1, 0.2, 0.3, 1.0), frozen,
        ("preference", "utility"), n_pairs=48, is_truth=True,
    ),
    *(
        Family(
            coverage, f"{what} by other completions, beside what the pairs do", ratios, build,
            (f"{quantity}, sampled", f"{quantity}, second pairs"), is_truth=True, right=3,
        )
        for what, quantity, ratios, build in (
            ("preference gained", "preference", (0.5, 0.64, 0.8, 1.0, 1.25, 1.6, 2.0), completions),
            ("utility lost", "utility", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), losing_more),
        )
    ),
    Family(
        control, "standard deviations of chance by which the steer gains more than one more direction", (0.0, 1.0, 2.0, 4.0, 6.0),
        partial(chance, luck=1.0), n_pairs=32, is_truth=True, right=-1,
    ),
    Family(
        causes, "effect of distance on the log-odds of an invalid answer, beside the Fisher form's", (-1.0, 0.0, 0.5, 1.0, 1.5),
        panel, n_pairs=8, is_truth=True, right=-1,
    ),
    *(
        Family(
            orthogonality, "nats of utility per nat of preference", (0.0, 0.05, 0.1, 0.2, 0.3), moving_utility, ("small",),
            n_pairs, is_truth=True,
        )
        for n_pairs in (60, 200)
    ),
    *(
        Family(
            orthogonality, f"rank among random directions, pairs scatter by {8 * noise:g} of what one does", ranks,
            partial(by_rank, noise=noise), ("special",), is_truth=True,
        )
        for noise, ranks in ((QUIET, (0.0, 0.025, 0.05, 0.1, 0.2)), (0.35, (0.0, 0.05, 0.2, 0.5, 0.9)))
    ),
]  # fmt: skip
