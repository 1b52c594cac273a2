"""Sensitivity: verdicts beside those where one setting differs, or the weights are rounded once more."""

import pandas as pd

from mechsteer.statistics.judging import Outcome

from .found import Found, steer_of, table
from .verdicts import verdicts

NAME = "sensitivity"
TITLE = "What flips"
ORDER = 60

OPEN = Outcome.INCONCLUSIVE.value
ROUNDED = ".rounded-"
"""In the name of a model's file whose weights were rounded once more (benchmarks/rounded.py); what follows is how."""


def write(found: Found) -> str:
    """A row for each claim that any condition decides, a column for each condition; then how many verdicts each one turns."""
    claims = rounding_as_condition(found.claims)
    conditions = sorted(dict.fromkeys(claims["condition"]), key=bool)
    if "" not in conditions or len(conditions) == 1:
        return "No cells differ in one setting from others that have none of their own, so nothing is compared."
    rows, turned = [], {condition: [0, 0, 0] for condition in conditions if condition}
    for _, group in claims.groupby(["name", "method", "form", "against", "model", "concept"], sort=False):
        outcomes = {condition: list(some["outcome"]) for condition, some in group.groupby("condition")}
        if "" not in outcomes or {*group["outcome"]} == {OPEN}:
            continue
        said = {condition: verdicts(group.loc[group["condition"] == condition]) for condition in conditions}
        rows.append(_place(group.iloc[0].to_dict()) | {name or "as planned": told for name, told in said.items()})
        for condition, counts in turned.items():
            # Of several training seeds that are cells of their own, one by one.
            for before, after in zip(outcomes[""], outcomes.get(condition, ()), strict=False):
                counts[0] += before != OPEN and after == OPEN
                counts[1] += before == OPEN and after != OPEN
                counts[2] += OPEN not in (before, after) and before != after
    if not rows:
        return f"Of {len(turned)} conditions that differ in one setting, none turned a verdict: none is decided."
    told = [
        f"{condition}: {lost} no longer decided, {won} decided only there, {reversed_} reversed"
        for condition, (lost, won, reversed_) in turned.items()
    ]
    about = (
        "Claims that any condition decides, each with its estimate and 95 % interval; a dash where it was not judged. Verdicts "
        f"turned by {'; '.join(told)}."
    )
    return f"{table(rows)}\n\n{about}"


def _place(claim: dict) -> dict[str, str]:
    return {
        "claim": claim["name"], "about": steer_of(claim), "model": claim["model"], "pairs": claim["concept"],
        "unit": claim["unit"],
    }  # fmt: skip


def rounding_as_condition(claims: pd.DataFrame) -> pd.DataFrame:
    """With a rounded copy of a model as a condition of that model."""
    models = claims["model"].unique()
    base = {name: next((other for other in models if name.startswith(other + ROUNDED)), name) for name in models}
    conditions = []
    for name, said in zip(claims["model"], claims["condition"], strict=True):
        kind = name.removeprefix(base[name]).removeprefix(ROUNDED)
        conditions.append(", ".join(filter(None, (said, kind and f"weights rounded once more ({kind})"))))
    return claims.assign(model=[base[name] for name in claims["model"]], condition=conditions)
