"""Steers in a space whose manifold, readouts and valid answers are planted."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import norm

from analyses.claims import validity
from analyses.evidence.collection import answered_at
from analyses.evidence.evidence import Evidence, LayerActivations
from mechsteer.guestbook import CONCEPTS
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL
from mechsteer.store.keys import Key

from .losses import losses

D = 16
SWEPT = np.linspace(-4, 4, 25)
READ = SWEPT[[0, 4, 8, 10, 14, 16, 20, 24]]
TOKENS_PER_PAIR = 4
N_POSITIONS = 20
SPREAD = 0.35
"""Of the sizes of pairs' shifts, on the logarithmic scale."""
VALID = 0.97
"""Of the answers, unsteered."""
STEEP = 5
"""As on the guestbook, where at half as far again as the range goes half of the answers are invalid."""


def curved(n: int, rng: np.random.Generator, dimension: int = 2, noise: float = 0.02) -> Float[ndarray, "n d"]:
    """A torus of this dimension, a circle in each of as many planes, with a little noise in all directions."""
    turns = rng.uniform(0, 2 * np.pi, (n, dimension))
    points = np.zeros((n, D))
    points[:, : 2 * dimension : 2], points[:, 1 : 2 * dimension : 2] = np.cos(turns), np.sin(turns)
    return points + noise * rng.normal(size=points.shape)


def flat(n: int, rng: np.random.Generator, dimension: int = 3) -> Float[ndarray, "n d"]:
    """A linear subspace, filled by a Gaussian: of low dimension, and no nearer than its covariance says."""
    points = 0.02 * rng.normal(size=(n, D))
    points[:, :dimension] += rng.normal(size=(n, dimension))
    return points


def cloud(n: int, rng: np.random.Generator) -> Float[ndarray, "n d"]:
    """A Gaussian in all directions, some wider than others: no manifold but the covariance."""
    return rng.normal(size=(n, D)) * np.linspace(0.8, 1.2, D)


@dataclass(frozen=True)
class Clusters:
    """Clouds around points drawn once, each a Gaussian with widths of its own, some often and some rarely met: tokens of a
    vocabulary, and no manifold."""

    seed: int
    n: int = 20

    @property
    def planted(self) -> tuple[Float[ndarray, "n d"], Float[ndarray, "n d"]]:
        rng = np.random.default_rng([self.seed, 1])
        return rng.normal(size=(self.n, D)), rng.uniform(0.05, 0.3, (self.n, D))

    def __call__(self, n: int, rng: np.random.Generator) -> Float[ndarray, "n d"]:
        centres, widths = self.planted
        often = 1 / np.arange(1, self.n + 1)
        which = rng.choice(self.n, size=n, p=often / often.sum())
        return centres[which] + widths[which] * rng.normal(size=(n, D))

    def ids(self, points: Float[ndarray, "n d"]) -> Int[ndarray, " n"]:
        return np.linalg.norm(points[:, None] - self.planted[0], axis=2).argmin(axis=1)


def sectors(points: Float[ndarray, "n d"], n: int = 8) -> Int[ndarray, " n"]:
    """Tokens that each have a stretch of the first circle."""
    return np.floor(n * np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)).astype(int) % n


def decay(size: ndarray) -> ndarray:
    """Eq. 12 with L = 4 and p = 2."""
    return (1 + size**2 / 4) ** -2


def make(
    seed: int,
    *,
    n_pairs: int = 60,
    points=curved,
    ids: Callable[[ndarray], ndarray] = sectors,
    n_learning: int = 400,
    decay_by_distance: float = 1.0,
    spread: float = SPREAD,
    centre: float = 0.0,
    steered_onto_manifold: bool = False,
    turned_back: float = 0.0,
    valid: str = "falls",
    promised: float = 1.0,
    nats: float = 10.0,
    n_answers: int = 200,
) -> Evidence:
    """One steer on `n_pairs`.

    Args:
        spread: of the sizes of pairs' shifts, on the logarithmic scale; at zero all are alike, as under a vector.
        centre: multiplier at which utility is highest; the further from there, the less is left.
        decay_by_distance: share of a pair's own decay that is due to its own shift; the rest is due to a size that has
            nothing to do with it. At zero, only |m| and that size matter.
        steered_onto_manifold: tokens go to other points of the manifold, never off it.
        turned_back: share of the pairs that a larger multiplier shifts less.
        ids: which token of a vocabulary each point is.
        valid: the true share of valid answers "falls" on both sides, or "rises" with m.
        nats: of utility, where validity is whole.
        promised: how many times as wide as the range of valid answers the useful range by log-odds is, where they fall.
    """
    rng = np.random.default_rng(seed)
    learning = points(n_learning, rng)
    base = points(n_pairs * TOKENS_PER_PAIR, rng)
    token_pair = np.repeat(np.arange(n_pairs), TOKENS_PER_PAIR)

    # Δh points off the manifold's plane in part; each pair's has a size of its own, as that of a LoRA has.
    direction = rng.normal(size=D)
    direction /= np.linalg.norm(direction)
    sizes = np.exp(spread * rng.normal(size=n_pairs))
    delta = sizes[:, None] * direction
    turns = np.arange(n_pairs) < turned_back * n_pairs
    steered = base + _moved(READ, turns)[:, token_pair, None] * delta[token_pair]
    if steered_onto_manifold:
        steered = np.array([points(len(base), rng) for _ in READ])

    places = np.random.default_rng([seed, 2])
    gradients = [
        omega + 0.3 * rng.normal(size=(n_pairs, D)) / np.sqrt(D) for omega in _readouts(direction, (0.0, 0.6), rng)
    ]
    sweep = _sweep(rng, sizes, decay_by_distance, nats, centre, turns)
    return Evidence(
        concept=CONCEPTS[0],
        sweep=sweep,
        learning_sweep=_sweep(rng, sizes, decay_by_distance, nats, centre, turns),
        multipliers=READ,
        token_pair=token_pair,
        token_id=ids(base),
        token_position=places.integers(N_POSITIONS, size=len(base)),
        learning_token_id=ids(learning),
        learning_token_position=places.integers(N_POSITIONS, size=len(learning)),
        layers={0: LayerActivations(learning, base, steered)},
        site_layer=0,
        delta=delta,
        gradient_preference=gradients[1],
        gradient_utility=gradients[0],
        slope_preference=np.einsum("nd,nd->n", gradients[1], delta),
        slope_utility=np.einsum("nd,nd->n", gradients[0], delta),
        has_layer_norm=False,
        answers=_answers(rng, valid, useful_end(nats) / promised, n_answers, sweep),
        seed=seed,
    )


def clustered(seed: int, **settings) -> Evidence:
    """Clusters by token in place of a manifold."""
    points = Clusters(seed)
    return make(seed, points=points, ids=points.ids, **settings)


def _readouts(direction: ndarray, cosines: tuple[float, ...], rng: np.random.Generator) -> list[ndarray]:
    """Unit vectors, ω_u and ω_p, with these cosines to the direction, otherwise at random."""

    def at(cosine: float) -> ndarray:
        other = rng.normal(size=D)
        other -= other @ direction * direction
        return cosine * direction + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)

    return [at(cosine) for cosine in cosines]


def _moved(multipliers: Float[ndarray, " m"], turns: Bool[ndarray, " pairs"]) -> Float[ndarray, "m pairs"]:
    """By how many shifts each pair is moved: those that turn back, by fewer the larger the multiplier."""
    back = np.sign(multipliers) * (SWEPT[-1] + SWEPT[-1] - SWEPT[-2] - np.abs(multipliers))
    return np.where(turns, back[:, None], multipliers[:, None])


def _sweep(
    rng: np.random.Generator, sizes: Float[ndarray, " pairs"], share: float, nats: float, centre: float,
    turns: Bool[ndarray, " pairs"],
) -> Sweep:  # fmt: skip
    n_pairs = len(sizes)
    others = np.exp(SPREAD * rng.normal(size=n_pairs))
    # What decays with |m| alone knows nothing of turning back.
    moved = _moved(SWEPT, turns & (share > 0))
    size = np.abs(moved - centre) * sizes**share * others ** (1 - share)
    preference = (1.5 * SWEPT[:, None] + 1) * decay(size) + rng.normal(size=n_pairs)
    utility = -20 + nats * decay(size) + rng.normal(size=n_pairs)
    noise = 0.3 * rng.normal(size=(2, *size.shape))
    positive, negative = losses(preference + noise[0], utility + noise[1])
    lengths = rng.integers(8, 16, size=(2, n_pairs))
    return Sweep(
        SWEPT, tuple(f"pair-{index}" for index in range(n_pairs)), positive, negative, lengths[0], lengths[1],
        np.abs(SWEPT)[:, None] * sizes, Key("planted", "vector", "add", "0:resid_post", pairs="planted"),
    )  # fmt: skip


def _answers(rng: np.random.Generator, valid: str, end: float, n_answers: int, sweep: Sweep) -> pd.DataFrame:
    """What the checker finds of answers that stay valid up to `end`; only the first concept follows the steer."""
    m = np.append(0.0, answered_at(sweep, READ))
    truth = (m + 5) / 10 if valid == "rises" else still_valid(m / end)
    value = 0.8 * np.cos(2 * m) if valid == "rises" else np.tanh(m * decay(m) + 0.2)
    positive = rng.binomial(n_answers, (1 + value) / 2) / n_answers
    columns = {"multiplier": m, "n_answers": n_answers, "valid": rng.binomial(n_answers, truth) / n_answers}
    columns |= {concept: np.zeros(len(m)) for concept in CONCEPTS} | {CONCEPTS[0]: 2 * positive - 1}
    return pd.DataFrame(columns)


def still_valid(share_of_range: ndarray) -> ndarray:
    """The share of valid answers, by how far of their range one steers: at its end the checker's margin is lost."""
    steepness = np.log(VALID / (VALID - validity.MARGIN))
    return VALID * np.exp(-steepness * np.abs(share_of_range) ** STEEP)


def useful_end(nats: float) -> float:
    """The multiplier at which pairs lose half a nat on average."""
    sizes = np.exp(SPREAD * norm.ppf((np.arange(100) + 0.5) / 100))
    grid = np.linspace(0, 4, 4001)
    return float(np.interp(USEFUL, nats * (1 - decay(grid[:, None] * sizes)).mean(axis=1), grid))


def few(evidence: Evidence, n_pairs: int = 12) -> Evidence:
    """The same with only the first pairs."""
    kept: Int[ndarray, " tokens"] = np.flatnonzero(evidence.token_pair < n_pairs)
    sweeps = {}
    for name in ("sweep", "learning_sweep"):
        sweep = getattr(evidence, name)
        by_pair = ("loss_positive", "loss_negative", "relative_shift", "tokens_positive", "tokens_negative")
        parts = {item: getattr(sweep, item)[..., :n_pairs] for item in by_pair}
        sweeps[name] = replace(sweep, pairs=sweep.pairs[:n_pairs], **parts)
    per_pair = ("delta", "gradient_preference", "gradient_utility", "slope_preference", "slope_utility")
    return replace(
        evidence,
        **sweeps,
        **{name: getattr(evidence, name)[:n_pairs] for name in per_pair},
        **{name: getattr(evidence, name)[kept] for name in ("token_pair", "token_id", "token_position")},
        layers={
            layer: LayerActivations(read.learning, read.base[kept], read.steered[:, kept])
            for layer, read in evidence.layers.items()
        },
    )
