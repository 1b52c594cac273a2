"""A study's saved tables, as figures read them."""

import json
import re

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from analyses.studies.finished import Study
from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import resampled_means

N_RESAMPLES = 1000


def saved(study: Study, name: str) -> pd.DataFrame | None:
    """A table of the study's folder; None where there is none, or nothing in it."""
    if not (study.folder / f"{name}.parquet").is_file():
        return None
    table = study.table(name)
    return None if table.empty else table


def of_steer(study: Study, name: str, subject: str | None) -> pd.DataFrame | None:
    """The rows of a table behind the claims that are of one steer, by default its first."""
    table = saved(study, f"claims/{name}")
    if table is None:
        return None
    rows = table.loc[table.subject == (table.subject.iloc[0] if subject is None else subject)]
    return None if rows.empty else rows.reset_index(drop=True)


def subjects(study: Study) -> list[str]:
    """The steers that claims were asked of, in words: what a figure of one steer can be asked for."""
    # Every steer is judged by it, if only to say that nothing can be decided.
    judged = claims(study)
    return judged.loc[judged.analysis == "linear_region"].subject.unique().tolist()


def steer_of(study: Study, subject: str | None) -> str | None:
    """The steer that was asked for, by default the first; None where no claims were asked of it."""
    known = subjects(study)
    return next((item for item in known if subject in (None, item)), None)


def slug(subject: str) -> str:
    """A steer's name in files."""
    return re.sub(r"[^a-z0-9_]+", "-", subject.partition(" on ")[0].lower())


def sweep_of(study: Study, subject: str) -> Sweep:
    """The sweep of a steer that claims were asked of."""
    name = subject.partition(" on ")[0]
    for sweep in study.sweeps:
        if sweep.intervention == name:
            return sweep
    raise InputError(f"The study holds no sweep of {name!r}. Its tables are of another study: run that one again.")


def claims(study: Study) -> pd.DataFrame:
    """Every claim; empty where none was judged. `value` is the estimate, and `analysis` what stands before the colon."""
    path = study.folder / "claims.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    numbers = ["estimate", "low", "high", "p_value"]
    table = pd.DataFrame(rows, columns=["claim", "subject", "unit", "control", "outcome", "because", *numbers])
    table[numbers] = table[numbers].astype(np.float64)
    return table.rename(columns={"estimate": "value"}).assign(analysis=[name.partition(":")[0] for name in table.claim])


def means(values: Float[ndarray, "m pairs"]) -> pd.DataFrame:
    """The mean over pairs that are defined throughout, with its 95 % interval, in a row for each multiplier."""
    values = values[:, np.isfinite(values).all(axis=0)]
    draws = resampled_means(values, N_RESAMPLES)
    nothing = np.full(len(values), np.nan)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0) if len(draws) else (nothing, nothing)
    return pd.DataFrame({"value": values.mean(axis=1) if values.shape[1] else nothing, "low": low, "high": high})


def share_interval(share: Float[ndarray, " k"], n: Int[ndarray, " k"]) -> Float[ndarray, "k 2"]:
    """Wilson's 95 % interval of a share of n."""
    z = 1.96
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.stack([centre - half, centre + half], axis=1)


def through_zero(rows: pd.DataFrame) -> pd.DataFrame:
    """By multiplier, with the row at which nothing is steered, so that all that steering changes is zero."""
    zero = dict.fromkeys(rows.select_dtypes("number").columns, 0.0)
    return pd.concat([rows, pd.DataFrame([zero])], ignore_index=True).sort_values("multiplier")
