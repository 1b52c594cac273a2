"""Mechanism: what each explanation of the loss comes to, model by model, and whether curves carry over between prompt formats."""

from itertools import combinations

import numpy as np
import pandas as pd

from analyses.claims import CLAIMS
from mechsteer.curves.reading import read_curve
from mechsteer.statistics.intervals import r_squared
from mechsteer.store.keys import Key

from .. import causes, frozen_norms, one_mechanism, orthogonality, transfer
from .found import Cell, Found, first_seeds, interval, number, place_of, steer, steer_of, table

NAME = "mechanism"
TITLE = "The mechanism"
ORDER = 45

SHOWN = {
    "manifold_exists": "Whether there is a manifold",
    "off_manifold": "Whether steering leaves it, and utility falls",
    "causes": "Whether distance does harm: the panel",
    "settles": "What would settle it",
    "one_mechanism": "One mechanism behind all forms",
    "frozen_norms": "Norms with their denominators frozen",
    "orthogonality": "Whether preference moves and utility does not",
    "transfer": "From learning pairs to test pairs",
}
"""Claims of this theme in the order of the argument, and one of another; a claim that is added to the theme follows them."""
FIGURES = {module.NAME: module for module in (causes, one_mechanism, frozen_norms, orthogonality, transfer)}
ABOUT_FORMATS = (
    "R² of one format's fitted curve on the other's means, at the multipliers that both have: as it is, and in shape, given the "
    "other's own baseline and scale. Each format has its own steer, learned in it. A dash stands for an R² below zero."
)


def write(found: Found) -> str:
    """A table for each claim about the mechanism, a figure of it for each model, and transfer between prompt formats."""
    claims = pd.concat([found.claims, found.checks], ignore_index=True)
    parts = []
    judged = set(found.claims["claim"])
    more = {
        name: claim.title for name, claim in CLAIMS.members().items()
        if claim.get("THEME") == NAME and name in judged - set(SHOWN)
    }  # fmt: skip
    for name, words in (SHOWN | more).items():
        rows = of_claim(claims.loc[claims["claim"] == name])
        parts += [f"### {words}", table(rows), *_figures(found, name)]
    formats = [row for pair in between_formats(found.cells) for row in _carried(*pair)]
    told = table(formats) if formats else "No two finished cells differ in the prompt format alone."
    return "\n\n".join(["The bounds of every claim are stated in mechsteer's docs/concepts/claims.md.", *parts,
                        "### Between prompt formats", told, ABOUT_FORMATS])  # fmt: skip


def of_claim(claims: pd.DataFrame) -> list[dict[str, str]]:
    """A row for each cell and what it is about, a column for each part of the claim: estimate, interval, unit and outcome."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for claim in claims.to_dict("records"):
        row = rows.setdefault((claim["cell"], steer_of(claim)), place_of(claim) | {"of": steer_of(claim)})
        title = (
            CLAIMS[claim["claim"]].get("TITLES", {}).get(claim["part"], "")
            if claim["claim"] in CLAIMS.members()
            else ""
        )
        name = title or claim["part"] or "estimate"
        row[name] = f"{interval(claim['estimate'], claim['low'], claim['high'])} {claim['unit']}: {claim['outcome']}"
    return list(rows.values())


def _figures(found: Found, name: str) -> list[str]:
    """Of each model's first cell under the plan's usual settings that has one."""
    shown: dict[str, str] = {}
    for cell in found.cells if name in FIGURES else ():
        if not cell.condition and cell.model not in shown:
            says = f"{cell.model}, {cell.concept}: {SHOWN[name].lower()}"
            if drawn := found.picture(FIGURES[name].draw(cell.study), f"{cell.name}-{name}", says):
                shown[cell.model] = drawn
    return list(shown.values())


def between_formats(cells: tuple[Cell, ...]) -> list[tuple[Cell, Cell]]:
    """Cells whose studies were asked for the same but for the prompt format."""

    def asked(cell: Cell) -> dict:
        return {name: value for name, value in cell.study.summary.get("settings", {}).items() if name != "format"}

    formats = {cell.name: cell.study.summary.get("settings", {}).get("format") for cell in cells}
    return [
        (one, other) for one, other in combinations(cells, 2)
        if formats[one.name] != formats[other.name] and asked(one) == asked(other)
    ]  # fmt: skip


def _carried(one: Cell, other: Cell) -> list[dict[str, str]]:
    """Both ways, for each method and form that both have."""
    rows = []
    for source, target in ((one, other), (other, one)):
        targets = {(key.method, key.form): key for key in first_seeds(target)}
        for key in first_seeds(source):
            if (to := targets.get((key.method, key.form))) is None:
                continue
            row = {"model": source.model, "pairs": source.concept} | steer(key)
            row |= {"from": _format(source), "to": _format(target)}
            for quantity in ("preference", "utility"):
                as_is, shape = scores(source, key, target, to, quantity)
                row |= {f"{quantity}: R²": _or_dash(as_is), f"{quantity}: in shape": _or_dash(shape)}
            rows.append(row)
    return rows


def scores(source: Cell, key: Key, target: Cell, to: Key, quantity: str) -> tuple[float, float]:
    """R² of the source's curve on the target's means, as it is and in shape; NaN without a fit or with too little shared."""
    fit, sweep = source.study.fits_of(key)[quantity], target.study.sweep_of(to)
    own = source.study.sweep_of(key).multipliers
    values = getattr(sweep, quantity)
    means = values[:, np.isfinite(values).all(axis=0)].mean(axis=1) if len(values) else values
    shared = np.isclose(sweep.multipliers[:, None], own).any(axis=1) & np.isfinite(means)
    if not fit["ok"] or shared.sum() < 4:
        return float("nan"), float("nan")
    predicted = read_curve(fit)(sweep.multipliers[shared])
    scale, baseline = np.polyfit(predicted, means[shared], 1)
    return r_squared(means[shared], predicted), r_squared(means[shared], baseline + scale * predicted)


def _format(cell: Cell) -> str:
    return str(cell.study.summary["settings"]["format"])


def _or_dash(score: float) -> str:
    return number(score if score >= 0 else None)
