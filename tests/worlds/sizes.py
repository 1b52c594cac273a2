"""What worlds need to know of real studies: how far pairs, trainings and chance scatter."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

import mechsteer as ms
from analyses.claims.control import COVARIANCE, SHUFFLED, STEER
from analyses.studies.finished import Study
from mechsteer.measuring.frontier import defined_everywhere
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import is_useful


def sizes(study: Study) -> pd.DataFrame:
    """A row for each steer and quantity."""
    return pd.DataFrame(
        {"steer": f"{sweep.key.steer}", "quantity": quantity} | _spreads(sweep, getattr(sweep, quantity))
        for sweep in study.sweeps
        for quantity in ("preference", "utility")
    )


def _spreads(sweep: Sweep, values: Float[ndarray, "m pairs"]) -> dict[str, float]:
    """Of `worlds.curves`: its `HEIGHTS`, `SCALES`, `DEPARTURES`, how neighbours of these correlate, and its `NOISE`."""
    values = values[:, np.isfinite(values).all(axis=0)]
    moved = values - values[sweep.zero]
    mean = moved.mean(axis=1)
    scales = mean @ moved / (mean @ mean)
    departures, useful = moved - np.outer(mean, scales), is_useful(sweep)
    alike = np.corrcoef(np.delete(departures, sweep.zero, axis=0))
    return {
        "heights": values[sweep.zero].std(),
        "scales": scales.std(),
        "departures, useful": _per_root(departures[useful], mean[useful]),
        "departures, all": _per_root(departures, mean),
        "autocorrelation": np.diag(alike, 1).mean(),
        "at four": np.diag(alike, 4).mean(),
        "noise": _noise(sweep.multipliers, values),
    }


def _per_root(departures: Float[ndarray, "m pairs"], mean: Float[ndarray, " m"]) -> float:
    """Their standard deviation where the mean has moved by one nat, if it grows as the root of that."""
    return float(np.sqrt((departures**2).mean(axis=1).sum() / np.abs(mean).sum()))


def _noise(m: Float[ndarray, " m"], values: Float[ndarray, "m pairs"]) -> float:
    """By how much values miss the cubic through their four neighbours, were it noise alone: at most so much is."""
    found = []
    for at in range(2, len(m) - 2):
        near = np.array([at - 2, at - 1, at + 1, at + 2])
        weights = [np.prod([(m[at] - m[j]) / (m[i] - m[j]) for j in near if j != i]) for i in near]
        found.append((values[at] - weights @ values[near]) / np.sqrt(1 + np.square(weights).sum()))
    return float(1.4826 * np.median(np.abs(found)))


def areas(study: Study) -> pd.DataFrame:
    """A row for each method and form: its area, and as shares of that how far it scatters over trainings and single pairs."""
    groups: dict[tuple[str, str], list[ms.Frontier]] = {}
    defined = defined_everywhere(study.sweeps)
    for sweep in study.sweeps:
        groups.setdefault((sweep.method, sweep.form), []).append(ms.frontier([sweep], defined=defined))
    rows = []
    root = np.sqrt(defined.sum())
    for (method, form), found in groups.items():
        area = np.array([one.area for one in found])
        others = (fronts[0] for (other, its), fronts in groups.items() if its == form and other != method)
        apart = [root * (found[0].area_samples - other.area_samples).std() for other in others]
        rows.append(
            {
                "steer": f"{method} {form}",
                "area": area.mean(),
                "over seeds": (area.std(ddof=1) if len(area) > 1 else np.nan) / area.mean(),
                "over pairs": root * found[0].area_samples.std() / area.mean(),
                "over pairs, from another method": (np.median(apart) if apart else np.nan) / area.mean(),
            }
        )
    return pd.DataFrame(rows)


def chances(study: Study) -> pd.DataFrame:
    """A row for each kind of chance and shift: how far directions and pairs scatter, beside what the steer gains (nats)."""
    drawn = study.table("evidence/chance")
    means = drawn.groupby(["kind", "budget", "draw"]).gained.agg(["mean", "std"]).reset_index()
    steer = means[means.kind == STEER].set_index("budget")["mean"]
    found = means[means.kind.isin((COVARIANCE, SHUFFLED))].groupby(["kind", "budget"])
    table = found.agg(directions=("mean", "std"), pairs=("std", "mean")).reset_index()
    return table.assign(steer=table.budget.map(steer))
