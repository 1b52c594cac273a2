"""Sensitivity: verdicts that come out otherwise when one setting differs, or the weights are rounded once more."""

import pandas as pd

from .found import Found, steer_of, table

NAME = "sensitivity"
TITLE = "What flips"
ORDER = 60

ROUNDED = ".rounded-"
"""In the name of a model's file whose weights were rounded once more (benchmarks/rounded.py); what follows is how."""


def write(found: Found) -> str:
    """A row for each verdict that another condition of the same model and pairs turned."""
    claims = rounding_as_condition(found.claims)
    rows = []
    places = ["name", "method", "form", "against", "model", "concept"]
    for _, group in claims.groupby(places, sort=False):
        usual, others = group.loc[group.condition == ""], group.loc[group.condition != ""]
        for other in others.to_dict("records"):
            for before in usual.outcome.unique():
                if before != other["outcome"]:
                    rows.append(
                        {"claim": other["name"], "about": steer_of(other), "model": other["model"], "pairs": other["concept"],
                         "verdict": before, "where": other["condition"], "verdict there": other["outcome"]}
                    )  # fmt: skip
    compared = claims.loc[claims.condition != "", "condition"].nunique()
    return table(rows) if rows else f"Of {compared} conditions that differ in one setting, none turned a verdict."


def rounding_as_condition(claims: pd.DataFrame) -> pd.DataFrame:
    """With a rounded copy of a model as a condition of that model."""
    models = claims["model"].unique()
    base = {name: next((other for other in models if name.startswith(other + ROUNDED)), name) for name in models}
    conditions = []
    for name, said in zip(claims["model"], claims["condition"], strict=True):
        kind = name.removeprefix(base[name]).removeprefix(ROUNDED)
        conditions.append(", ".join(filter(None, (said, kind and f"weights rounded once more ({kind})"))))
    return claims.assign(model=[base[name] for name in claims["model"]], condition=conditions)
