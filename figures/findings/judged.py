"""Judged texts: the harmonic mean of what each method writes, SPLIT against the others by it, and what each judge says."""

from collections.abc import Hashable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from analyses.claims.judged_wins import TITLES, UNSTEERED
from mechsteer.families import form_title
from mechsteer.judges.scale import COHERENCE, CONCEPT

from ..drawing.saved import saved
from .found import Cell, Found, interval, number, place_of, table

NAME = "judged"
TITLE = "What steers write, judged"
ORDER = 37

ABOUT_SCORES = (
    "The harmonic mean (0 to 1) of the first judge's aspects, as AxBench and the paper report it, with 95 % intervals over "
    "queries and training seeds. Utility is held equal where a steer with m > 0 has lost half a nat of it. The best multiplier "
    "is chosen on one half of the queries and scored on the other."
)
ABOUT_SPLIT = (
    "SPLIT's harmonic mean less the other method's, on the same queries and paired by seed; outcomes are corrected for multiple "
    "tests."
)
ABOUT_JUDGES = (
    "Means of a judge's aspects (0 to 1; of concept by rules, 0.5 is a text without any telling word) over queries and "
    "training seeds. *At its highest* is the multiplier above 0 with the highest mean, which of several noisy ones is too "
    "high. *Names it* is the share of texts that contain a word of the concept's description, and *no score* the share of "
    "judgements that failed at any multiplier."
)


def write(found: Found) -> str:
    """Three tables: scores by method, SPLIT against each of the others, and every judge."""
    scores = [row for cell in found.cells for row in _scores(cell)]
    against = [
        place_of(row) | {
            "place": row["part"], "form": form_title(row["form"]), "SPLIT against": row["against"],
            "scores more": interval(row["estimate"], row["low"], row["high"]), "p": number(row["p_value"], 3),
            "outcome": row["outcome"],
        }
        for row in found.claims.loc[found.claims["claim"] == "judged_wins"].to_dict("records")
    ]  # fmt: skip
    judges = [row for cell in found.cells for row in _judges(cell)]
    return "\n\n".join((table(scores), ABOUT_SCORES, table(against), ABOUT_SPLIT, table(judges), ABOUT_JUDGES))


def _scores(cell: Cell) -> list[dict[str, str]]:
    scores = saved(cell.study, "claims/judged_wins-scores")
    if scores is None:
        return []
    rows = []
    for key, of_steer in scores.groupby(["method", "form"], sort=False):
        method, form = map(str, cast(tuple, key))
        at = of_steer.set_index("place").to_dict("index")
        rows.append(
            cell.place | {"method": method, "form": form_title(form)}
            | {place: _score(str(place), at[place]) if place in at else "–" for place in (UNSTEERED, *TITLES)}
            | {"seeds": str(of_steer.n_seeds.max())}
        )  # fmt: skip
    return rows


def _score(place: str, row: Mapping[Hashable, Any]) -> str:
    """With its interval, and the multiplier where the place does not say it."""
    told = interval(row["value"], row["low"], row["high"])
    return told if place.startswith("m =") else f"{told}, m = {number(row['multiplier'])}"


def _judges(cell: Cell) -> list[dict[str, str]]:
    judged = saved(cell.study, "judged")
    if judged is None:
        return []
    rows = []
    for key, said in judged.groupby(["judge", "about", "method", "form"], sort=False):
        judge, about, method, form = map(str, cast(tuple, key))
        aspects = said.loc[said["role"] != ""]
        rows.append(
            cell.place | {"judge": f"{judge}: {about}" if about else judge, "method": method, "form": form_title(form)}
            | {f"{role} at m = {m:g}": _mean(said.loc[said["role"] == role], "mean", m)
               for role in (CONCEPT, COHERENCE) for m in (0, 1)}
            | {"concept at its highest": _highest(said.loc[said["role"] == CONCEPT])}
            | {"names it at m = 1": _mean(aspects, "named", 1),
               "no score": number(aspects.n_failed.sum() / aspects.n_texts.sum())}
        )  # fmt: skip
    return rows


def _highest(rows: pd.DataFrame) -> str:
    """The largest mean over seeds under any m > 0, and where."""
    means = rows.loc[rows.multiplier > 0].groupby("multiplier")["mean"].mean().dropna()
    return f"{number(float(means.max()))}, m = {means.idxmax():g}" if len(means) else "–"


def _mean(rows: pd.DataFrame, column: str, multiplier: float) -> str:
    """Over seeds, between swept multipliers; a dash where it was not judged or not swept so far."""
    if rows.empty or not rows.multiplier.min() <= multiplier <= rows.multiplier.max():
        return "–"
    multipliers, values = (rows[name].to_numpy(np.float64) for name in ("multiplier", column))
    at = np.unique(multipliers)
    return number(float(np.interp(multiplier, at, [values[multipliers == m].mean() for m in at])))
