"""Fitting the paper's curves to a sweep, and judging them: on multipliers they have not seen, and against rivals."""

from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..brief import brief
from ..measuring.sweeps import Sweep
from ..statistics.intervals import aicc, alternate_folds, constancy_p_value, r_squared, resampled_means
from .forms import Curve, Form, curve_from, paper_form, rival_forms
from .preference import PreferenceCurve
from .properties import Property, curve_properties, with_intervals
from .separable import Solution, minimise, screen
from .utility import UtilityCurve
from .validity import Variant

CANDIDATES_PER_START = 32
SIGNIFICANCE = 0.01
"""Largest chance, with pairs drawn again, of so much change over the multipliers when there is none."""


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
        "The curve does no better than a constant on multipliers that it has not seen, or changes no more than the "
        "disagreement between pairs explains. Sweep a wider range, or more pairs."
    )
    TOO_FEW_POINTS = (
        "Half of the multipliers must outnumber the curve's parameters, so that the fit can be judged on the rest. "
        "Sweep 21 multipliers or more."
    )
    UNDEFINED_VALUES = "No pair is defined at every multiplier. Use losses summed over tokens, or a narrower range."


@dataclass(frozen=True)
class Score:
    """How well a form explains the sweep: in sample, and on multipliers it has not seen (root mean square, in nats)."""

    name: str
    n_parameters: int
    r_squared: float = np.nan
    held_out_r_squared: float = np.nan
    held_out_error: float = np.nan
    aicc: float = np.nan


@dataclass(frozen=True, eq=False)
class CurveFit:
    """The paper's curve for the mean over pairs, what it says, and how far to believe it.

    Each of two folds, every other multiplier, is predicted by a fit to the other one; multipliers outside the range of
    that fit are not scored (`held_out_predictions` is NaN there). A pair that is undefined at any multiplier is left
    out at all of them, so that every point is a mean over the same pairs. Unless `ok`, there are no properties.
    """

    quantity: str
    variant: Variant
    status: FitStatus
    score: Score
    multipliers: Float[ndarray, " m"]
    mean: Float[ndarray, " m"]
    folds: Int[ndarray, " m"]
    held_out_predictions: Float[ndarray, " m"]
    n_pairs: int
    n_undefined: int
    curve: Curve | None = None
    rivals: tuple[Score, ...] = ()
    p_constant: float = np.nan
    properties: dict[str, Property] = field(default_factory=dict)
    at_bound: tuple[str, ...] = ()

    __repr__ = brief

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
        """On multipliers that the fit has not seen, against the mean of those that it has."""
        return self.score.held_out_r_squared

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for few points; lower is better."""
        return self.score.aicc

    def predict(self, multipliers: Float[ndarray, " any"]) -> Float[ndarray, " any"]:
        """The curve, in nats; NaN where no curve was fitted."""
        return np.full(multipliers.shape, np.nan) if self.curve is None else self.curve(multipliers)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what is infinite or undefined becomes None."""
        return _plain(asdict(self) | {"status": self.status.name, "remedy": self.status.value, "ok": self.ok})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _search(form: Form, multipliers: ndarray, mean: ndarray, n_starts: int, seed: int) -> Solution:
    """Descents from the best of many candidates, the lowest first."""
    columns = partial(form.columns, multipliers)
    candidates = form.candidates(n_starts * CANDIDATES_PER_START, seed)
    starts = screen(columns(candidates), mean[None], candidates, n_starts)[0]
    solution = minimise(columns, np.broadcast_to(mean, (len(starts), len(mean))), starts, form.bounds)
    return solution[np.argsort(solution.squared_error, kind="stable")]


def _judge(
    form: Form, multipliers: ndarray, mean: ndarray, n_starts: int, seed: int
) -> tuple[Solution, Score, ndarray]:
    """Descents on all multipliers, their best one's score, and what fits to half of the multipliers predict."""

    def predict(solution: Solution, at: ndarray) -> ndarray:
        return form.columns(at, solution.shape[:1])[0] @ solution.coefficients[0]

    folds = alternate_folds(len(multipliers))
    held_out, reference = np.full((2, len(multipliers)), np.nan)
    for fold in (0, 1):
        seen = folds != fold
        scored = ~seen & (multipliers > multipliers[seen][0]) & (multipliers < multipliers[seen][-1])
        held_out[scored] = predict(_search(form, multipliers[seen], mean[seen], n_starts, seed), multipliers[scored])
        reference[scored] = mean[seen].mean()
    scored = np.isfinite(held_out)

    solution = _search(form, multipliers, mean, n_starts, seed)
    score = Score(
        name=form.name,
        n_parameters=form.n_parameters,
        r_squared=r_squared(mean, predict(solution, multipliers)),
        held_out_r_squared=r_squared(mean[scored], held_out[scored], reference[scored]),
        held_out_error=float(np.sqrt(np.mean((mean - held_out)[scored] ** 2))),
        aicc=aicc(float(solution.squared_error[0]), len(mean), form.n_parameters),
    )
    return solution, score, held_out


def fit_curve(
    curve: type[Curve],
    multipliers: Float[ndarray, " m"],
    values: Float[ndarray, "m pairs"],
    *,
    variant: Variant = "continuous",
    n_starts: int = 32,
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> CurveFit:
    """Fit `curve` to the mean over pairs, beside its rivals, with intervals from a bootstrap over pairs.

    Descents begin at the `n_starts` best of many candidates. A single pair has no intervals.
    The variant is continuous unless asked otherwise: validity is a mean over outputs of a continuous network, so it
    cannot jump at zero as eq. 12 does when printed, and at a jump there is no slope to report.
    """
    if np.any(np.diff(multipliers) <= 0):
        raise ValueError("The multipliers must increase without repeats. Sort them, and the values with them.")
    defined = np.isfinite(values).all(axis=0)
    unit = float(np.abs(multipliers).max()) or 1.0
    scaled = multipliers / unit
    form = paper_form(curve, variant, scaled)
    unfitted = CurveFit(
        quantity="preference" if curve is PreferenceCurve else "utility",
        variant=variant,
        status=FitStatus.UNDEFINED_VALUES,
        score=Score(form.name, form.n_parameters),
        multipliers=multipliers,
        mean=values[:, defined].mean(axis=1) if defined.any() else np.full(len(multipliers), np.nan),
        folds=alternate_folds(len(multipliers)),
        held_out_predictions=np.full(len(multipliers), np.nan),
        n_pairs=int(defined.sum()),
        n_undefined=int((~defined).sum()),
    )
    if not defined.any():
        return unfitted
    if len(multipliers) < form.least_points:
        return replace(unfitted, status=FitStatus.TOO_FEW_POINTS)

    solution, score, held_out_predictions = _judge(form, scaled, unfitted.mean, n_starts, seed)
    rivals = tuple(
        _judge(rival, scaled, unfitted.mean, n_starts, seed)[1] for rival in rival_forms(curve, variant, scaled)
    )
    at_bound = form.at_bound(solution.shape[0])
    constant = next(rival for rival in rivals if rival.name == "constant")
    p_constant = constancy_p_value(values[:, defined], seed=seed)
    beats_constant = score.held_out_r_squared > 0 and score.aicc < constant.aicc
    if not solution.converged[0]:
        status = FitStatus.NOT_CONVERGED
    elif not beats_constant or p_constant > SIGNIFICANCE:
        status = FitStatus.NO_SIGNAL
    else:
        status = FitStatus.AT_BOUND if at_bound else FitStatus.CONVERGED
    best = curve_from(curve, variant, solution.shape[0], solution.coefficients[0], unit)
    fitted = replace(
        unfitted,
        status=status,
        curve=best,
        score=score,
        rivals=rivals,
        p_constant=p_constant,
        at_bound=at_bound,
        held_out_predictions=held_out_predictions,
    )
    if not fitted.ok:
        return fitted

    # Each resample descends once, from whichever end of the descents above suits it best.
    columns = partial(form.columns, scaled)
    means = resampled_means(values[:, defined], n_resamples, seed)
    starts = screen(columns(solution.shape), means, solution.shape, 1)[:, 0]
    resamples = minimise(columns, means, starts, form.bounds)
    resampled = [
        curve_properties(curve_from(curve, variant, shape, coefficients, unit), multipliers)
        for shape, coefficients in zip(resamples.shape, resamples.coefficients, strict=True)
    ]
    return replace(fitted, properties=with_intervals(curve_properties(best, multipliers), resampled, level))


def fit_preference(sweep: Sweep, **settings: Any) -> CurveFit:
    """Fit eq. 15 to the sweep's preference; settings are those of `fit_curve`."""
    return fit_curve(PreferenceCurve, sweep.multipliers, sweep.preference, **settings)


def fit_utility(sweep: Sweep, **settings: Any) -> CurveFit:
    """Fit eq. 17 to the sweep's utility; settings are those of `fit_curve`."""
    return fit_curve(UtilityCurve, sweep.multipliers, sweep.utility, **settings)
