"""Claims: how each came out, model by model."""

import pandas as pd

from mechsteer.statistics.judging import Outcome

from ..campaigns import heat_map
from .found import Found, interval, number, place_of, steer_of, table

NAME = "claims"
TITLE = "Claims"
ORDER = 40


def write(found: Found) -> str:
    """The heat map; every primary claim in every cell; and of all others how many held, with the estimate over models."""
    claims = found.claims
    if claims.empty:
        return table([])
    primary = [
        {"claim": row["name"], "about": steer_of(row)} | place_of(row) | {
            "estimate": interval(row["estimate"], row["low"], row["high"]), "unit": row["unit"],
            "p (Holm)": number(row["p_value"], 3), "outcome": row["outcome"],
        }
        for row in claims.loc[claims["is_primary"]].to_dict("records")
    ]  # fmt: skip
    return "\n\n".join(
        (
            found.picture(heat_map.draw(found.campaign), "claims", "Every claim by model and pairs"),
            table(primary),
            "Primary claims were named in the plan before anything was run. Holm's procedure corrects those that have a p-value, "
            "over all cells; where a dash stands, the outcome follows from the interval alone, and is not corrected.",
            table(_rest(found.campaign.combined, set(claims.loc[claims["is_primary"], "name"]))),
            "For all other claims, Benjamini and Hochberg's procedure holds the share of false verdicts to 5 %. Estimates are "
            "means over cells, with Hartung and Knapp's interval where there are several; of one cell alone it is its own. Over "
            "few cells that interval is wide, and may end where the quantity itself cannot lie.",
        )
    )


def _rest(combined: pd.DataFrame, primary: set[str]) -> list[dict]:
    rest = combined.loc[~combined["name"].isin(list(primary))]
    return [
        {"claim": row["name"], "about": steer_of(row)} | {outcome.value: row[outcome.value] for outcome in Outcome} | {
            "estimate": interval(row["estimate"], row["low"], row["high"]), "unit": row["unit"], "over": row["over"],
        }
        for row in rest.loc[rest.condition == ""].to_dict("records")
    ]  # fmt: skip
