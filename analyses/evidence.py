"""Evidence: everything that the claims about one steer are judged by, as arrays, so that judging needs no model."""

from dataclasses import dataclass, field

import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.sweeps import Sweep


@dataclass(frozen=True, eq=False)
class LayerActivations:
    """Residual activations at one place, at completion tokens: unsteered, and under each of k multipliers.

    `learning` are tokens of the learning pairs (what the manifold is estimated from), `base` and `steered` the same
    tokens of the test pairs, without and with the steer.
    """

    learning: Float[ndarray, "points d"]
    base: Float[ndarray, "tokens d"]
    steered: Float[ndarray, "k tokens d"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one steer, its pairs and its site."""

    subject: str
    """Which steer, pairs and site, in words: it stands in every claim."""
    sweep: Sweep
    """Test pairs."""
    learning_sweep: Sweep
    """Learning pairs at the same multipliers."""
    multipliers: Float[ndarray, " k"]
    """At which activations were read: a few of the sweep's, zero left out."""
    token_pair: Int[ndarray, " tokens"]
    """Index of each test token's pair in the sweep."""
    layers: dict[int, LayerActivations]
    """By layer: the steered site under its own layer, and resid_post of every later layer."""
    site_layer: int
    delta: Float[ndarray, "pairs d"]
    """Δh at multiplier one, mean over the steered positions of a test pair."""
    gradient_preference: Float[ndarray, "pairs d"]
    """Per test pair at m = 0: change of preference (nats) per unit of a shift added at all steered positions alike."""
    gradient_utility: Float[ndarray, "pairs d"]
    """The same of utility."""
    slope_preference: Float[ndarray, " pairs"]
    """dPreference/dm at m = 0 of the steer itself, by automatic differentiation (nats per unit of multiplier)."""
    slope_utility: Float[ndarray, " pairs"]
    has_layer_norm: bool
    answers: pd.DataFrame = field(default_factory=pd.DataFrame)
    """On the guestbook: a row per multiplier with the checker's shares and concept values of generated answers."""
    seed: int = 0
