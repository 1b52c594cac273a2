"""A study's saved tables, as figures read them."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from analyses.studies.finished import Study
from mechsteer.statistics.intervals import N_RESAMPLES, resampled_means
from mechsteer.store.keys import COLUMNS, Key, keys_in, rows_of


def saved(study: Study, name: str) -> pd.DataFrame | None:
    """A table of the study's folder; None where there is none, or nothing in it."""
    if not study.sums.has(f"{name}.parquet"):
        return None
    table = study.table(name)
    return None if table.empty else table


def of_steer(study: Study, name: str, key: Key | None) -> pd.DataFrame | None:
    """The rows of a table behind the claims that are of one steer, by default its first, with `subject` in words."""
    table = saved(study, f"claims/{name}")
    if table is None:
        return None
    found = keys_in(table)[0] if key is None else key
    rows = rows_of(table, found)
    if rows.empty:
        return None
    plain = rows.drop(columns=[column for column in COLUMNS if column in rows])
    return plain.assign(subject=str(found)).reset_index(drop=True)


def steer_of(study: Study, key: Key | None) -> Key | None:
    """The steer that was asked for, by default the first; None where no claims were asked of it."""
    return next((known for known in study.judged if key in (None, known)), None)


def model_of(study: Study) -> str:
    """A caption's word for the model."""
    return Path(study.summary["model"]["name"]).name


def site_of(study: Study) -> str:
    """A caption's words for the model and the site."""
    return f"{study.summary['site']['site']} of {model_of(study)}"


def measured_on(study: Study) -> str:
    """A caption's words for the model, the site and the pairs that every steer was measured on."""
    of = study.summary
    pairs = of["pairs"]["testing"]["name"]
    return f"Measured on {model_of(study)} at {of['site']['site']}, {len(study.sweeps[0].pairs)} pairs of {pairs}."


def claims(study: Study) -> pd.DataFrame:
    """Every claim; empty where none was judged. `value` is the estimate, `name` and `subject` are words."""
    rows = [
        claim.to_dict() | {"name": claim.name, "subject": str(claim.key), "key": claim.key} for claim in study.claims
    ]
    numbers = ["estimate", "low", "high", "p_value"]
    words = [
        "claim", "part", *COLUMNS, "against", "unit", "control", "outcome", "because", "is_check", "name", "subject", "key",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=[*words, *numbers])
    table[numbers] = table[numbers].astype(np.float64)
    return table.rename(columns={"estimate": "value"})


def means(values: Float[ndarray, "m pairs"]) -> pd.DataFrame:
    """The mean over pairs that are defined throughout, with its 95 % interval, in a row for each multiplier."""
    values = values[:, np.isfinite(values).all(axis=0)]
    draws = resampled_means(values, N_RESAMPLES)
    nothing = np.full(len(values), np.nan)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0) if len(draws) else (nothing, nothing)
    return pd.DataFrame({"value": values.mean(axis=1) if values.shape[1] else nothing, "low": low, "high": high})


def through_zero(rows: pd.DataFrame) -> pd.DataFrame:
    """By multiplier, with the row at which nothing is steered, so that all that steering changes is zero."""
    zero = dict.fromkeys(rows.select_dtypes("number").columns, 0.0)
    return pd.concat([rows, pd.DataFrame([zero])], ignore_index=True).sort_values("multiplier")
