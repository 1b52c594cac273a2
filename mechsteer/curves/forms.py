"""The paper's curve and its rivals, each as columns that depend on a few shape parameters.

Forms live on scaled multipliers, of which the largest in size is one: their bounds and starts then hold for any unit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float
from numpy import ndarray
from scipy.special import expit
from scipy.stats import qmc

from .preference import PreferenceCurve
from .utility import UtilityCurve
from .validity import ValidityDecay, Variant

Curve = PreferenceCurve | UtilityCurve

LOG_POWERS = (float(np.log(0.2)), float(np.log(50.0)))
"""Less hardly decays; more cannot be told from a Gaussian."""
WIDEST = 10.0
"""A half-width of ten times the sweep cannot be told from no decay."""


@dataclass(frozen=True, eq=False)
class Form:
    """A family of curves: linear coefficients times `columns(multipliers, shape)`."""

    name: str
    columns: Callable[[ndarray, ndarray], ndarray]
    n_linear: int
    ranges: dict[str, tuple[float, float]]

    @property
    def least_points(self) -> int:
        """So many multipliers are needed to fit it to half of them, and judge it on the rest."""
        return 2 * self.n_parameters + 2

    @property
    def bounds(self) -> Float[ndarray, "shape 2"]:
        """Least and largest value of each shape parameter."""
        return np.array(list(self.ranges.values())).reshape(-1, 2)

    @property
    def n_parameters(self) -> int:
        """Coefficients and shape parameters; the noise is not counted."""
        return self.n_linear + len(self.ranges)

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


def rational_quadratic(distance: ndarray, power: ndarray) -> ndarray:
    """The paper's decay; distance in half-widths, so that all decays fall to one half at distance one."""
    return np.exp(-power * np.log1p(distance**2 * np.expm1(np.log(2) / power)))


def gaussian(distance: ndarray) -> ndarray:
    """What the rational quadratic becomes as its power grows."""
    return 2.0 ** -(distance**2)


def laplace(distance: ndarray) -> ndarray:
    """A decay with a kink where it starts."""
    return 2.0 ** -np.abs(distance)


def _log_widths(multipliers: ndarray) -> tuple[float, float]:
    """Log widths that a sweep can tell apart: not less than one step of it, for that is a jump."""
    return float(np.log(np.diff(multipliers).min(initial=WIDEST))), float(np.log(WIDEST))


def _decay_form(
    name: str, curve: type[Curve], decay: Callable[..., ndarray], variant: Variant, multipliers: ndarray
) -> Form:
    """A form of the paper's shape, with any decay: centres, log half-widths, and log powers where the decay has one.

    Half-widths instead of the printed L: with L, a change of the power moves the whole curve.
    """
    centres = ["centre"] if variant == "continuous" else ["centre_negative", "centre_positive"]
    ranges = dict.fromkeys(centres, (float(multipliers[0]), float(multipliers[-1])))
    ranges |= dict.fromkeys(["log_half_width_negative", "log_half_width_positive"], _log_widths(multipliers))
    if decay is rational_quadratic:
        ranges |= dict.fromkeys(["log_power_negative", "log_power_positive"], LOG_POWERS)
    n_centres = len(centres)

    def columns(multipliers: ndarray, shape: ndarray) -> ndarray:
        sides = [shape[:, [0, n_centres - 1]]]
        sides += [*rearrange(np.exp(shape[:, n_centres:]), "batch (parameter side) -> parameter batch side", side=2)]
        positive = multipliers >= (shape[:, :1] if variant == "continuous" else 0)
        centre, half_width, *power = (np.where(positive, side[:, 1:], side[:, :1]) for side in sides)
        return curve.columns(multipliers, decay((multipliers - centre) / half_width, *power))

    return Form(name, columns, n_linear=3 if curve is PreferenceCurve else 2, ranges=ranges)


def paper_form(curve: type[Curve], variant: Variant, multipliers: Float[ndarray, " m"]) -> Form:
    """Eq. 15 or 17 with the decay of eq. 12."""
    return _decay_form("rational quadratic", curve, rational_quadratic, variant, multipliers)


def curve_from(
    curve: type[Curve],
    variant: Variant,
    shape: Float[ndarray, " shape"],
    coefficients: Float[ndarray, " linear"],
    unit: float,
) -> Curve:
    """The paper's curve in the units of the sweep; `unit` is the multiplier that was scaled to one."""
    centres, (width_negative, width_positive, power_negative, power_positive) = shape[:-4], np.exp(shape[-4:])
    validity = ValidityDecay(
        split=float(centres[0] * unit) if variant == "continuous" else 0.0,
        centre_negative=float(centres[0] * unit),
        scale_negative=float((width_negative * unit) ** 2 / np.expm1(np.log(2) / power_negative)),
        power_negative=float(power_negative),
        centre_positive=float(centres[-1] * unit),
        scale_positive=float((width_positive * unit) ** 2 / np.expm1(np.log(2) / power_positive)),
        power_positive=float(power_positive),
    )
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
        _decay_form("Gaussian decay", curve, gaussian, variant, multipliers),
        _decay_form("Laplace decay", curve, laplace, variant, multipliers),
        _polynomial(1, "linear"),
        _polynomial(0, "constant"),
    )
