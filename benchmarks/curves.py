"""How well curves predict what they have not seen, and where slopes are, on the sweeps of finished studies.

`python benchmarks/curves.py results/guestbook` prints Markdown: for each steer the error of every form in the useful range, on
blocks inside the sweep and at its ends, with every other multiplier held out (which tests interpolation), and the slope at zero
as measured and as fitted.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from analyses.evidence.evidence import Evidence  # noqa: E402
from analyses.studies.finished import Study  # noqa: E402
from mechsteer.curves import PreferenceCurve, Property, UtilityCurve, fit_curve  # noqa: E402
from mechsteer.curves.fit import SPLINE  # noqa: E402
from mechsteer.curves.forms import Curve, Form, paper_form, rival_forms  # noqa: E402
from mechsteer.curves.search import N_STARTS, descend, predict_blocks, spline_blocks  # noqa: E402
from mechsteer.curves.validity import VARIANTS  # noqa: E402
from mechsteer.measuring.sweeps import Sweep  # noqa: E402
from mechsteer.measuring.useful import is_useful  # noqa: E402
from mechsteer.statistics.intervals import N_BLOCKS, alternate_folds, contiguous_blocks, standard_errors  # noqa: E402


def forms_of(curve: type[Curve], m: Float[ndarray, " m"]) -> dict[str, Form]:
    """The paper's forms and two of their rivals."""
    paper = {variant: paper_form(curve, variant, m) for variant in VARIANTS}
    return paper | {
        form.name: form for form in rival_forms(curve, "printed", m) if "logistics" in form.name or "Gauss" in form.name
    }


def alternating(form: Form, m: ndarray, mean: ndarray, weights: ndarray) -> Float[ndarray, " m"]:
    """What fits to every other multiplier predict of the rest."""
    folds, predicted = alternate_folds(len(m)), np.full(len(m), np.nan)
    for fold in (0, 1):
        seen = np.where(folds == fold, 0.0, weights)
        best = descend(form, m, mean, seen[None], N_STARTS, 0)
        predicted[folds == fold] = (form.columns(m, best.shape[:1])[0] @ best.coefficients[0])[folds == fold]
    return predicted


def errors(curve: type[Curve], sweep: Sweep) -> dict[str, list[float]]:
    """Root mean square errors (nats, unweighted): useful, inside, ends, every other multiplier."""
    values = sweep.preference if curve is PreferenceCurve else sweep.utility
    values = values[:, np.isfinite(values).all(axis=0)]
    m, mean, weights = (
        sweep.multipliers / np.abs(sweep.multipliers).max(),
        values.mean(axis=1),
        1 / standard_errors(values),
    )
    blocks = contiguous_blocks(len(m))
    inside, useful = (blocks > 0) & (blocks < N_BLOCKS - 1), is_useful(sweep)
    within = (m > m[1]) & (m < m[-2])
    found = {}
    for name, form in forms_of(curve, m).items():
        known = descend(form, m, mean, weights[None], N_STARTS, 0)
        by_block = predict_blocks(form, m, mean[None], weights, known, N_STARTS, 0)[0]
        found[name] = (by_block, alternating(form, m, mean, weights))
    every_other = np.full(len(m), np.nan)
    for fold in (0, 1):
        seen = alternate_folds(len(m)) != fold
        every_other[~seen] = PchipInterpolator(m[seen], mean[seen])(m[~seen])
    found[SPLINE] = (spline_blocks(m, mean[None])[0], every_other)
    return {
        name: [float(np.sqrt(np.mean((mean - predicted)[at] ** 2))) for predicted, at in
               ((by_block, useful), (by_block, inside), (by_block, ~inside), (other, within))]
        for name, (by_block, other) in found.items()
    }  # fmt: skip


def _slope(found: Property | None) -> str:
    return "-" if found is None else f"{found.estimate:.3g} [{found.interval.low:.3g}, {found.interval.high:.3g}]"


def main(folder: Annotated[Path, typer.Argument(help="The folder of a finished study.")]) -> None:
    """Print both tables."""
    study = Study.load(folder)
    print(
        "| steer | quantity | form | useful range | blocks inside | ends | every other multiplier |\n"
        "|---|---|---|---:|---:|---:|---:|"
    )
    for sweep in study.sweeps:
        for quantity, curve in (("preference", PreferenceCurve), ("utility", UtilityCurve)):
            for name, row in errors(curve, sweep).items():
                print(
                    f"| {sweep.key.steer} | {quantity} | {name} | "
                    + " | ".join(f"{value:.3g}" for value in row)
                    + " |",
                    flush=True,
                )
    derivatives = {
        evidence.key: evidence.slope_preference.mean()
        for evidence in (Evidence.load(study.sums.path(path)) for path in study.sums.names("evidence/*.npz"))
    }
    print(
        "\n| steer | by automatic differentiation | measured | of the fitted curve | do they agree? |\n|---|---:|---:|---:|---|"
    )
    for sweep in study.sweeps:
        fit = fit_curve(PreferenceCurve, sweep.multipliers, sweep.preference)
        known = derivatives.get(sweep.key)
        shown = [_slope(found.get("slope_at_zero")) for found in (fit.properties, fit.fitted)]
        exact = "-" if known is None else f"{known:.3g}"
        print(
            f"| {sweep.key.steer} | {exact} | {' | '.join(shown)} | {'yes' if 'slope_at_zero' in fit.agreeing else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
