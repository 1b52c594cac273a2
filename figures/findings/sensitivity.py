"""Sensitivity: verdicts that come out otherwise when one setting differs."""

from .found import Found, steer_of, table

NAME = "sensitivity"
TITLE = "What flips"
ORDER = 60


def write(found: Found) -> str:
    """A row for each verdict that another condition of the same model and pairs turned."""
    rows = []
    places = ["name", "method", "form", "against", "model", "concept"]
    for _, group in found.claims.groupby(places, sort=False):
        usual, others = group.loc[group.condition == ""], group.loc[group.condition != ""]
        for other in others.to_dict("records"):
            for before in usual.outcome.unique():
                if before != other["outcome"]:
                    rows.append(
                        {"claim": other["name"], "of": steer_of(other), "model": other["model"], "pairs": other["concept"],
                         "else": before, "but": other["condition"], "then": other["outcome"]}
                    )  # fmt: skip
    compared = found.claims.loc[found.claims.condition != "", "condition"].nunique()
    return table(rows) if rows else f"Of {compared} conditions that differ in one setting, none turned a verdict."
