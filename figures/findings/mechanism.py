"""Mechanism: what each explanation of the loss comes to, model by model."""

import pandas as pd

from analyses.claims import CLAIMS

from .. import causes, frozen_norms, one_mechanism, orthogonality, transfer
from .found import Found, interval, place_of, steer_of, table
from .verdicts import title

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


def write(found: Found) -> str:
    """A table for each claim about the mechanism, and a figure of it for each model."""
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
    return "\n\n".join(["The bounds of every claim are stated in mechsteer's docs/concepts/claims.md.", *parts])


def of_claim(claims: pd.DataFrame) -> list[dict[str, str]]:
    """A row for each cell and what it is about, a column for each part of the claim: estimate, interval, unit and outcome."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for claim in claims.to_dict("records"):
        row = rows.setdefault((claim["cell"], steer_of(claim)), place_of(claim) | {"about": steer_of(claim)})
        row[title(claim)] = (
            f"{interval(claim['estimate'], claim['low'], claim['high'])} {claim['unit']}: {claim['outcome']}"
        )
    return list(rows.values())


def _figures(found: Found, name: str) -> list[str]:
    """Of each model's first cell that has one, those first in which claims were asked of a steer."""
    if name not in FIGURES:
        return []
    by_model: dict[str, list[str]] = {}
    for cell in sorted(found.cells, key=lambda cell: not cell.study.judged):
        if not by_model.get(cell.model):
            by_model[cell.model] = found.pictures_of(name, FIGURES[name], SHOWN[name].lower(), [cell])
    return [picture for pictures in by_model.values() for picture in pictures]
