"""Fitting the paper's curves to a sweep, and judging them: on blocks of multipliers they have not seen, against rivals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..brief import brief
from ..measuring.sweeps import Sweep
from ..rooms import plot
from ..statistics.intervals import (
    N_BLOCKS,
    aicc,
    autocorrelation,
    constancy_p_value,
    contiguous_blocks,
    r_squared,
    resampled_means,
    resampled_with,
    standard_errors,
)
from .forms import Curve, Form, curve_from, paper_form, rival_forms
from .preference import PreferenceCurve
from .properties import Measured, Property, curve_properties, with_intervals
from .search import N_STARTS, descend, follow, predict_blocks, spline_blocks
from .separable import Solution
from .utility import UtilityCurve
from .validity import VARIANTS, Variant

SIGNIFICANCE = 0.01
"""Largest chance, with pairs drawn again, of so much change over the multipliers when there is none."""
SPLINE = "monotone spline"
"""What prediction without any theory reaches."""


class FitStatus(Enum):
    """How a fit ended; the text says what to do next."""

    CONVERGED = "The fit converged. Nothing needs to be done."
    AT_BOUND = (
        "The curve is determined, but a parameter of its decay is not: it ended at a bound. Rely on the properties of "
        "the curve rather than on its parameters, or sweep further out on both sides of zero."
    )
    NOT_CONVERGED = (
        "The best descent did not come to rest, so the fit proves nothing. Raise n_starts, or sweep more multipliers."
    )
    NO_SIGNAL = (
        "The mean changes no more over the multipliers than the disagreement between pairs explains. Sweep a wider range, or "
        "more pairs."
    )
    POOR = (
        "The mean changes, but the curve does no better than a constant, on multipliers that it has not seen or for its "
        "number of parameters (AICc), so it is no fit. Rely on what was measured."
    )
    TOO_FEW_POINTS = (
        "Without a sixth of the multipliers there must still be more of them than parameters of the curve, so that the fit "
        "can be judged on the rest. Sweep 21 multipliers or more."
    )
    UNDEFINED_VALUES = "No pair is defined at every multiplier. Use losses summed over tokens, or a narrower range."


@dataclass(frozen=True)
class Score:
    """How well a form explains the sweep: in sample, and on blocks of multipliers it has not seen.

    Errors are root mean squares in nats, points weighted by their standard errors as in the fit: inside, on blocks with others
    on both sides, and at the ends, where the form is drawn out of what it has seen.
    """

    name: str
    n_parameters: int
    r_squared: float = np.nan
    """In sample, unweighted, as the paper reports it."""
    held_out_r_squared: float = np.nan
    held_out_error: float = np.nan
    end_error: float = np.nan
    autocorrelation: float = np.nan
    """Of the weighted residuals of neighbouring multipliers."""
    aicc: float = np.nan


@dataclass(frozen=True, eq=False)
class CurveFit:
    """The paper's curve for the mean over pairs, what was measured, and how far to believe it.

    The curve is fitted as printed, matched at zero, and with a plateau (`validity.py`); `curve` is the one of these `variants`
    with the best AICc. Each of six blocks of neighbouring multipliers is predicted by a fit to the others. Points are weighted
    by their standard errors over pairs. A pair that is undefined at any multiplier is left out at all of them, so that every
    point is a mean over the same pairs. `properties` are measured; `fitted` are those of the curve, where there is one.
    """

    quantity: str
    status: FitStatus
    score: Score
    multipliers: Float[ndarray, " m"]
    mean: Float[ndarray, " m"]
    standard_errors: Float[ndarray, " m"]
    blocks: Int[ndarray, " m"]
    held_out_predictions: Float[ndarray, " m"]
    n_pairs: int
    n_undefined: int
    variant: Variant | None = None
    curve: Curve | None = None
    variants: tuple[Score, ...] = ()
    rivals: tuple[Score, ...] = ()
    spline: Score = Score(SPLINE, 0)
    p_constant: float = np.nan
    properties: dict[str, Property] = field(default_factory=dict)
    fitted: dict[str, Property] = field(default_factory=dict)
    at_bound: tuple[str, ...] = ()

    __repr__ = brief
    plot = plot

    @property
    def ok(self) -> bool:
        """Whether this may be called a fit."""
        return self.status in (FitStatus.CONVERGED, FitStatus.AT_BOUND)

    @property
    def r_squared(self) -> float:
        """In sample."""
        return self.score.r_squared

    @property
    def held_out_r_squared(self) -> float:
        """On blocks that the fit has not seen, with others on both sides, against the mean of what it has."""
        return self.score.held_out_r_squared

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for few points; lower is better."""
        return self.score.aicc

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The properties of which curve and measurement say the same."""
        return tuple(name for name, found in self.fitted.items() if found.agrees(self.properties[name]))

    def predict(self, multipliers: Float[ndarray, " any"]) -> Float[ndarray, " any"]:
        """The curve, in nats; NaN where no curve was fitted."""
        return np.full(multipliers.shape, np.nan) if self.curve is None else self.curve(multipliers)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what is infinite or undefined becomes None."""
        words = {"status": self.status.name, "remedy": self.status.value, "ok": self.ok, "agreeing": self.agreeing}
        return _plain(asdict(self) | words)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def score_of(
    name: str, n_parameters: int, mean: Float[ndarray, " m"], weights: Float[ndarray, " m"], fitted: Float[ndarray, " m"],
    predicted: Float[ndarray, " m"],
) -> Score:  # fmt: skip
    """Of what a form says of the points that it was fitted to, and of those of each block without having seen it."""
    blocks = contiguous_blocks(len(mean))
    inside = (blocks > 0) & (blocks < N_BLOCKS - 1)
    reference = np.array([mean[blocks != block].mean() for block in blocks])
    residuals = (mean - fitted) * weights
    return Score(
        name,
        n_parameters,
        r_squared=r_squared(mean, fitted),
        held_out_r_squared=r_squared(mean[inside], predicted[inside], reference[inside]),
        held_out_error=float(weighted_error((mean - predicted)[None], weights, inside)[0]),
        end_error=float(weighted_error((mean - predicted)[None], weights, ~inside)[0]),
        autocorrelation=autocorrelation(residuals),
        aicc=aicc(residuals, n_parameters),
    )


def weighted_error(
    errors: Float[ndarray, "curves m"], weights: Float[ndarray, " m"], where: ndarray
) -> Float[ndarray, " curves"]:
    """The root mean square over some points, weighted as in the fit (nats)."""
    return np.sqrt(np.average(errors[:, where] ** 2, axis=1, weights=weights[where] ** 2))


def _judge(
    form: Form, multipliers: ndarray, mean: ndarray, weights: ndarray, n_starts: int, seed: int
) -> tuple[Solution, Score, ndarray]:
    """Descents on all multipliers, their best one's score, and what fits without each block predict of it."""
    solution = descend(form, multipliers, mean, weights[None], n_starts, seed)
    fitted = form.columns(multipliers, solution.shape[:1])[0] @ solution.coefficients[0]
    predicted = predict_blocks(form, multipliers, mean[None], weights, solution, n_starts, seed)[0]
    return solution, score_of(form.name, form.n_parameters, mean, weights, fitted, predicted), predicted


def measured_properties(
    quantity: str, multipliers: Float[ndarray, " m"], values: Float[ndarray, "m pairs"],
    slopes: Float[ndarray, " pairs"] | None, *, n_resamples: int, level: float, seed: int,
) -> dict[str, Property]:  # fmt: skip
    """What the means over pairs say, with intervals over pairs; `slopes` are each pair's own derivative at zero, if known."""
    if len(multipliers) < 2 or not values.shape[1]:
        return {}
    known = np.zeros((0, values.shape[1])) if slopes is None else slopes[None]
    both = np.concatenate([values, known])
    of_means = [
        curve_properties(
            Measured(multipliers, mean[: len(values)], None if slopes is None else float(mean[-1])),
            multipliers,
            quantity,
        )
        for mean in resampled_with(both, n_resamples, seed)
    ]
    return with_intervals(of_means[0], of_means[1:], level)


def fit_curve(
    curve: type[Curve],
    multipliers: Float[ndarray, " m"],
    values: Float[ndarray, "m pairs"],
    *,
    variants: Sequence[Variant] = VARIANTS,
    slopes: Float[ndarray, " pairs"] | None = None,
    with_rivals: bool = True,
    n_starts: int = N_STARTS,
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> CurveFit:
    """Fit `curve` to the mean over pairs, beside its rivals, with intervals from a bootstrap over pairs.

    Descents begin at the `n_starts` best of many candidates. A single pair has no intervals, and weighs all multipliers alike.

    Args:
        variants: which forms of the decay to try.
        with_rivals: whether to fit them too; without, a fit is held against a constant alone.
        slopes: each pair's own derivative at m = 0 (nats per unit of m), where it is known; otherwise local differences tell.
    """
    if np.any(np.diff(multipliers) <= 0):
        raise ValueError("The multipliers must increase without repeats. Sort them, and the values with them.")
    quantity = "preference" if curve is PreferenceCurve else "utility"
    defined = np.isfinite(values).all(axis=0)
    values, slopes = values[:, defined], None if slopes is None else slopes[defined]
    unit = float(np.abs(multipliers).max()) or 1.0
    scaled = multipliers / unit
    forms: dict[Variant, Form] = {variant: paper_form(curve, variant, scaled) for variant in variants}
    largest = max(forms.values(), key=lambda form: form.n_parameters)
    nothing = np.full(len(multipliers), np.nan)
    unfitted = CurveFit(
        quantity=quantity,
        status=FitStatus.UNDEFINED_VALUES,
        score=Score(largest.name, largest.n_parameters),
        multipliers=multipliers,
        mean=values.mean(axis=1) if defined.any() else nothing,
        standard_errors=standard_errors(values) if defined.any() else nothing,
        blocks=contiguous_blocks(len(multipliers)),
        held_out_predictions=nothing,
        n_pairs=int(defined.sum()),
        n_undefined=int((~defined).sum()),
    )
    if not defined.any():
        return unfitted
    measured = measured_properties(
        quantity, multipliers, values, slopes, n_resamples=n_resamples, level=level, seed=seed
    )
    unfitted = replace(unfitted, properties=measured)
    if len(multipliers) < largest.least_points:
        return replace(unfitted, status=FitStatus.TOO_FEW_POINTS)

    mean, weights = unfitted.mean, 1 / unfitted.standard_errors
    judged: dict[Variant, tuple[Solution, Score, ndarray]] = {
        name: _judge(form, scaled, mean, weights, n_starts, seed) for name, form in forms.items()
    }
    # A form is chosen by what it was fitted to; one whose descents did not come to rest, here or without a block, comes last.
    rests = {name: solved.converged[0] and np.isfinite(found).all() for name, (solved, _, found) in judged.items()}
    variant = min(judged, key=lambda name: (not rests[name], judged[name][1].aicc))
    form, (solution, score, held_out_predictions) = forms[variant], judged[variant]
    others = [rival for rival in rival_forms(curve, variant, scaled) if with_rivals or rival.name == "constant"]
    rivals = tuple(_judge(rival, scaled, mean, weights, n_starts, seed)[1] for rival in others)
    without_theory = spline_blocks(scaled, mean[None])[0]
    at_bound = form.at_bound(solution.shape[0])
    constant = next(rival for rival in rivals if rival.name == "constant")
    p_constant = constancy_p_value(values, seed=seed)
    beats_constant = score.held_out_r_squared > 0 and score.aicc < constant.aicc
    if not rests[variant]:
        status = FitStatus.NOT_CONVERGED
    elif p_constant > SIGNIFICANCE or np.isnan(score.r_squared):
        status = FitStatus.NO_SIGNAL
    elif not beats_constant:
        status = FitStatus.POOR
    else:
        status = FitStatus.AT_BOUND if at_bound else FitStatus.CONVERGED
    best = curve_from(curve, variant, solution.shape[0], solution.coefficients[0], unit)
    fitted = replace(
        unfitted,
        status=status,
        variant=variant,
        curve=best,
        score=score,
        variants=tuple(score for _, score, _ in judged.values()),
        rivals=rivals,
        spline=score_of(SPLINE, len(mean), mean, weights, mean, without_theory),
        p_constant=p_constant,
        at_bound=at_bound,
        held_out_predictions=held_out_predictions,
    )
    if not fitted.ok:
        return fitted

    resamples = follow(form, scaled, resampled_means(values, n_resamples, seed), weights[None], solution.shape[None])
    resampled = [
        curve_properties(curve_from(curve, variant, shape, coefficients, unit), multipliers, quantity)
        for shape, coefficients in zip(resamples.shape, resamples.coefficients, strict=True)
    ]
    own = curve_properties(best, multipliers, quantity)
    return replace(fitted, fitted=with_intervals(own, resampled, level))


def fit_preference(sweep: Sweep, **settings: Any) -> CurveFit:
    """Fit eq. 15 to the sweep's preference; settings are those of `fit_curve`."""
    return fit_curve(PreferenceCurve, sweep.multipliers, sweep.preference, **settings)


def fit_utility(sweep: Sweep, **settings: Any) -> CurveFit:
    """Fit eq. 17 to the sweep's utility; settings are those of `fit_curve`."""
    return fit_curve(UtilityCurve, sweep.multipliers, sweep.utility, **settings)
