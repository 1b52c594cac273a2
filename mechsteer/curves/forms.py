"""The paper's curve and its rivals, each as columns that depend on a few shape parameters.

Forms live on scaled multipliers, of which the largest in size is one: their bounds and starts then hold for any unit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import expit
from scipy.stats import qmc

from ..statistics.intervals import N_BLOCKS
from .preference import PreferenceCurve
from .utility import UtilityCurve
from .validity import ValidityDecay, Variant

Curve = PreferenceCurve | UtilityCurve

LOG_POWERS = (float(np.log(0.2)), float(np.log(50.0)))
"""Lower powers hardly decay; higher ones are not distinguishable from a Gaussian."""
LARGEST_DROP = (-1.5, 1.5)
"""Roots of how much log validity may have fallen at zero where both sides agree there: to a tenth at most."""
WIDEST = 10.0
"""A half-width of ten times the sweep is not distinguishable from no decay."""


@dataclass(frozen=True, eq=False)
class Form:
    """A family of curves: linear coefficients times `columns(multipliers, shape)`."""

    name: str
    columns: Callable[[ndarray, ndarray], ndarray]
    n_linear: int
    ranges: dict[str, tuple[float, float]]
    n_signs: int = 0
    """Shape parameters of which the sign alone counts."""

    @property
    def least_points(self) -> int:
        """So many multipliers are needed to fit it without a block of them, and one more."""
        return next(n for n in count(N_BLOCKS) if n - -(-n // N_BLOCKS) > self.n_parameters)

    @property
    def bounds(self) -> Float[ndarray, "shape 2"]:
        """Least and largest value of each shape parameter."""
        return np.array(list(self.ranges.values())).reshape(-1, 2)

    @property
    def n_parameters(self) -> int:
        """Coefficients and shape parameters, without signs; the noise is not counted."""
        return self.n_linear + len(self.ranges) - self.n_signs

    def candidates(self, n_candidates: int, seed: int) -> Float[ndarray, "candidates shape"]:
        """Points spread evenly between the bounds."""
        if not self.ranges:
            return np.zeros((1, 0))
        lower, upper = self.bounds.T
        return qmc.scale(qmc.Halton(len(lower), rng=seed).random(n_candidates), lower, upper)

    def at_bound(self, shape: Float[ndarray, " shape"]) -> tuple[str, ...]:
        """The shape parameters that lie at a bound."""
        lower, upper = self.bounds.T
        margin = 1e-6 * (upper - lower)
        return tuple(np.array(list(self.ranges))[(shape <= lower + margin) | (shape >= upper - margin)].tolist())


class Decay(NamedTuple):
    """How validity falls with the distance in half-widths, so that every decay is one half at distance one."""

    at: Callable[..., ndarray]
    """Validity at a distance; where the decay has a power, given that too, and what `steepness` makes of it."""
    distance: Callable[..., ndarray]
    """The distance at which validity is exp(-drop), given the same."""
    steepness: Callable[[ndarray], ndarray] | None = None
    """Of a power; None for a decay without one."""


RATIONAL_QUADRATIC = Decay(
    lambda distance, power, steepness: np.exp(-power * np.log1p(distance**2 * steepness)),
    lambda drop, power, steepness: np.sqrt(np.expm1(drop / power) / steepness),
    lambda power: np.expm1(np.log(2) / power),
)
"""The paper's."""
GAUSSIAN = Decay(lambda distance: 2.0 ** -(distance**2), lambda drop: np.sqrt(drop / np.log(2)))
"""What the rational quadratic becomes as its power grows."""
LAPLACE = Decay(lambda distance: 2.0 ** -np.abs(distance), lambda drop: drop / np.log(2))
"""With a kink where it starts."""


def _log_widths(multipliers: ndarray) -> tuple[float, float]:
    """Log widths that a sweep can tell apart: not less than one step of it, for that is a jump."""
    return float(np.log(np.diff(multipliers).min(initial=WIDEST))), float(np.log(WIDEST))


class _Sides(NamedTuple):
    """Of a batch of shapes, the parameters of either side: [negative or positive, batch]."""

    centre: ndarray
    half_width: ndarray
    power: tuple[ndarray, ...]
    """And its steepness; empty for a decay without one."""

    @classmethod
    def of(cls, decay: Decay, variant: Variant, shape: Float[ndarray, "batch shape"]) -> "_Sides":
        first, second, *logs = shape.T
        # Each parameter stands twice, once for a side.
        half_width, *power = np.exp(logs).reshape(len(logs) // 2, 2, len(shape))
        power = [*power, *(decay.steepness(some) for some in power if decay.steepness)]
        if variant == "printed":
            centre = np.stack([first, second])
        elif variant == "plateau":
            centre = np.stack([first, first + second])
        else:
            # Both sides have lost exp(-first²) at zero; on which side of it their centres lie, two signs say.
            away = np.sign(first) * half_width * decay.distance(first**2, *power)
            centre = away * np.stack([np.where(second < 0, -1.0, 1.0), np.ones_like(second)])
        return cls(centre, half_width, tuple(power))


def _decay_form(name: str, curve: type[Curve], decay: Decay, variant: Variant, multipliers: ndarray) -> Form:
    """A form of the paper's shape, with any decay: centres, log half-widths, and log powers where the decay has one.

    Half-widths instead of the printed L: with L, a change of the power moves the whole curve.
    """
    swept = float(multipliers[0]), float(multipliers[-1])
    ranges = {
        "printed": {"centre_negative": swept, "centre_positive": swept},
        "matched": {"root_of_drop_at_zero": LARGEST_DROP, "same_side": (-1.0, 1.0)},
        "plateau": {"centre_negative": swept, "plateau": (0.0, swept[1] - swept[0])},
    }[variant]
    ranges = ranges | dict.fromkeys(["log_half_width_negative", "log_half_width_positive"], _log_widths(multipliers))
    if decay.steepness:
        ranges |= dict.fromkeys(["log_power_negative", "log_power_positive"], LOG_POWERS)

    def columns(multipliers: ndarray, shape: ndarray) -> ndarray:
        sides = _Sides.of(decay, variant, shape)
        negative, positive = sides.centre[..., None]
        is_positive = multipliers >= ((negative + positive) / 2 if variant == "plateau" else 0)
        centre, half_width, *power = (
            np.where(is_positive, of[1][:, None], of[0][:, None])
            for of in (sides.centre, sides.half_width, *sides.power)
        )
        distance = multipliers - centre
        if variant == "plateau":
            distance = np.where(is_positive, np.maximum(distance, 0), np.minimum(distance, 0))
        return curve.columns(multipliers, decay.at(distance / half_width, *power))

    return Form(
        name, columns, n_linear=3 if curve is PreferenceCurve else 2, ranges=ranges, n_signs=int(variant == "matched")
    )


def paper_form(curve: type[Curve], variant: Variant, multipliers: Float[ndarray, " m"]) -> Form:
    """Eq. 15 or 17 with the decay of eq. 12."""
    return _decay_form(f"rational quadratic, {variant}", curve, RATIONAL_QUADRATIC, variant, multipliers)


def curve_from(
    curve: type[Curve],
    variant: Variant,
    shape: Float[ndarray, " shape"],
    coefficients: Float[ndarray, " linear"],
    unit: float,
) -> Curve:
    """The paper's curve in the units of the sweep; `unit` is the multiplier that was scaled to one."""
    sides = _Sides.of(RATIONAL_QUADRATIC, variant, shape[None])
    power, steepness = sides.power
    scale = (sides.half_width * unit) ** 2 / steepness
    parameters = np.stack([sides.centre * unit, scale, power], axis=1).ravel().tolist()
    validity = ValidityDecay(variant, *parameters)
    if curve is PreferenceCurve:
        gain, offset, baseline = coefficients.tolist()
        return PreferenceCurve(gain / unit, offset, baseline, validity)
    offset, baseline = coefficients.tolist()
    return UtilityCurve(offset, baseline, validity)


def _polynomial(degree: int, name: str) -> Form:
    """Chebyshev columns, for their conditioning."""

    def columns(multipliers: ndarray, shape: ndarray) -> ndarray:
        powers = np.polynomial.chebyshev.chebvander(multipliers, degree)
        return np.broadcast_to(powers, (len(shape), *powers.shape))

    return Form(name, columns, degree + 1, {})


def _logistic(n_steps: int, name: str, multipliers: ndarray) -> Form:
    """A sum of sigmoid steps, each with a place, a width and a height, on a baseline."""
    steps = range(1, n_steps + 1)
    ranges = {f"place_{step}": (float(multipliers[0]), float(multipliers[-1])) for step in steps}
    ranges |= {f"log_width_{step}": _log_widths(multipliers) for step in steps}

    def columns(multipliers: ndarray, shape: ndarray) -> ndarray:
        place, width = shape[:, None, :n_steps], np.exp(shape[:, None, n_steps:])
        steps = expit((multipliers[:, None] - place) / width)
        return np.concatenate([steps, np.ones((*steps.shape[:2], 1))], axis=-1)

    return Form(name, columns, n_steps + 1, ranges)


def rival_forms(curve: type[Curve], variant: Variant, multipliers: Float[ndarray, " m"]) -> tuple[Form, ...]:
    """What else might explain the sweep; the polynomial and two logistic steps have about as many parameters."""
    return (
        _polynomial(paper_form(curve, variant, multipliers).n_parameters - 1, "polynomial"),
        _logistic(1, "logistic", multipliers),
        _logistic(2, "two logistics", multipliers),
        _decay_form("Gaussian decay", curve, GAUSSIAN, variant, multipliers),
        _decay_form("Laplace decay", curve, LAPLACE, variant, multipliers),
        _polynomial(1, "linear"),
        _polynomial(0, "constant"),
    )
