"""The slope of preference near zero is the projection ω_pᵀΔh (arXiv 2602.02343, eqs. 13-15: α_p = ω_pᵀΔh).

ω_p is the gradient of preference at m = 0 with respect to one shift that all steered positions share, and Δh the
steer's mean over them. Two readings are told apart. Against the steer's own derivative the claim holds for a vector by
the chain rule; for a LoRA or a local weight, whose Δh differs from token to token, it asks whether the mean shift alone
explains it. Against the slope of the near-linear region it asks whether the readout at zero is the one that steering
meets further out.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.manifolds.geometry import projection_gain
from mechsteer.measuring.useful import is_useful
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, judge, p_value

from ..evidence.evidence import Evidence
from .linear_region import line_regions
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "projection_gain"
ORDER = 70
THEME = "curves"
TITLES = {
    "slope": "The projection of the shift is preference's slope at zero",
    "region": "The projection of the shift is the slope of the linear region",
}
CHECKS = ("slope",)
FIGURE = "projection_gain"
RATIO = (0.9, 1.1)
"""A tenth, for two derivatives at the same point."""
REGION_RATIO = (0.5, 2.0)
"""A factor of two: a curve that levels off is steeper at zero than the line that meets it over a wide region."""
BOUNDS = {"region": REGION_RATIO}
N_RANDOM = 1000
"""Of which 25 lie beyond either end of the central 95 % that the figure shows."""


def run(evidence: Evidence) -> Result:
    """Two claims: the projection as a share of the slope at zero, and of the slope of the near-linear region."""
    sweep, unit = evidence.sweep, "projection / slope"
    if len(sweep.pairs) < MIN_PAIRS:
        because = too_few(len(sweep.pairs))
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part in TITLES))
    gain = np.einsum("pd,pd->p", evidence.delta, evidence.gradient_preference)
    useful = is_useful(sweep)
    values = np.concatenate([[gain, evidence.slope_preference], sweep.preference[useful]])
    means = np.concatenate([values.mean(axis=1)[None], resampled_means(values, N_RESAMPLES, evidence.seed)])
    region = line_regions(sweep.multipliers[useful], means[:, 2:])
    random = _random_gains(evidence)
    claims, rows = [], []
    ends = f"m = {region.low[0]:.3g} to {region.high[0]:.3g}"
    for part, slopes, allowed, name, words in (
        ("slope", means[:, 1], RATIO, "slope at zero", "the steer's slope at zero is"),
        ("region", region.slope, REGION_RATIO, "slope of the line", f"the straight line from {ends} has slope"),
    ):
        because = f"The projection ω_pᵀΔh is {gain.mean():.3g} nats per unit of m"
        if part == "region" and region.share[0] == 0:
            because += "; no straight line holds around m = 0, so there is no slope to compare it with."
            claims.append(undecided(NAME, part, evidence.key, unit, because))
            continue
        because += f"; {words} {slopes[0]:.3g}."
        rise = percentile_interval(slopes[1:])
        if 0 in rise:
            because += (
                f" That slope's interval, {rise.low:.3g} to {rise.high:.3g}, includes zero, so the ratio is undefined."
            )
            claims.append(undecided(NAME, part, evidence.key, unit, because))
            continue
        with np.errstate(divide="ignore"):
            ratio, interval = float(gain.mean() / slopes[0]), percentile_interval(means[1:, 0] / slopes[1:])
        control = (
            f"{N_RANDOM:,} random directions of equal norm with the activations' covariance, whose median projection is "
            f"{np.median(np.abs(random)) / abs(slopes[0]):.2g} times the slope"
        )
        outcome = judge(interval, allowed)
        p = p_value(means[1:, 0] / slopes[1:], allowed, outcome)
        claims.append(Claim(NAME, part, evidence.key, ratio, unit, interval, control, outcome, because, p))
        rows.append((name, float(slopes[0]), rise.low, rise.high))
    tables = {
        "pairs": pd.DataFrame({"pair": sweep.pairs, "projection": gain, "slope": evidence.slope_preference}),
        "slopes": pd.DataFrame(rows, columns=["slope", "nats_per_unit", "low", "high"]),
        "random": pd.DataFrame({"projection": random}),
    }
    return Result(tuple(claims), tables)


def _random_gains(evidence: Evidence) -> Float[ndarray, " draws"]:
    """Projections of random directions, each as long as the mean shift, that vary as the activations at the site do."""
    base = evidence.layers[evidence.site_layer].base.astype(np.float64)
    weights = np.random.default_rng(evidence.seed).standard_normal((N_RANDOM, len(base)))
    directions = weights @ (base - base.mean(axis=0))
    directions *= np.linalg.norm(evidence.delta.mean(axis=0)) / np.linalg.norm(directions, axis=1, keepdims=True)
    return projection_gain(directions, evidence.gradient_preference.mean(axis=0))
