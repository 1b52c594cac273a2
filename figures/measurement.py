"""How much of preference and utility is nuisance: the share of their variance between pairs that each feature explains."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.measurement import MOST
from analyses.studies.finished import Study

from .drawing.forest import forest
from .drawing.panels import Place, key, panels
from .drawing.saved import claims, of_steer
from .drawing.style import GREY, QUANTITIES, Look

NAME = "measurement"
ORDER = 50

ALL = "all together, unseen pairs"


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each log-odds and nuisance: r² with its interval (Fisher's, of r), and all together from the claims."""
    table = of_steer(study, "measurement-correlations", None)
    if table is None:
        return None
    n_pairs = len(study.sweeps[0].pairs)
    half = 1.96 / np.sqrt(max(n_pairs - 3, 1))
    ends = np.tanh(np.arctanh(table.correlation.clip(-1 + 1e-12, 1 - 1e-12)).to_numpy()[:, None] + [-half, half])
    # Where the interval of r holds zero, that of r² begins there.
    low = np.where(ends[:, 0] * ends[:, 1] < 0, 0.0, np.min(ends**2, axis=1))
    single = pd.DataFrame(
        {
            "log_odds": table.log_odds,
            "nuisance": table.nuisance.str.replace("_", " "),
            "value": table.correlation**2,
            "low": low,
            "high": np.max(ends**2, axis=1),
        }
    )
    judged = claims(study)
    together = judged.loc[judged.claim == "measurement"].assign(nuisance=ALL)
    together["log_odds"] = together.part
    parts = [single, together[["log_odds", "nuisance", "value", "low", "high"]]]
    return pd.concat(parts, ignore_index=True).assign(
        unit="share of variance", n_pairs=n_pairs, subject=table.subject.iloc[0]
    )


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel."""
    table = numbers(study)
    if table is None:
        return None
    is_told = table.groupby("nuisance").value.transform("count") > 0
    same = ", ".join(table.nuisance[~is_told].unique())
    with panels(ax, height=0.9 + 0.3 * table.nuisance[is_told].nunique()) as shown:
        panel = shown.axes[0]
        for (name, look), offset in zip(QUANTITIES.items(), (-0.13, 0.13), strict=True):
            rows = table.loc[is_told & (table.log_odds == name)]
            forest(panel, rows, rows.nuisance.tolist(), [look] * len(rows), offset=offset)
        panel.axvline(MOST, color=GREY, linestyle=":")
        panel.set_xlim(min(-0.03, 1.1 * table.low.min()), 1.03)
        panel.set_xlabel("share of variance between pairs explained")
        shown.legend(
            [
                *(key(name, look, linestyle="-") for name, look in QUANTITIES.items()),
                key(f"allowed: {MOST:g}", Look(GREY, "", ":"), line=True),
            ]
        )
        shown.caption(
            f"{table.subject.iloc[0]}, {table.n_pairs.iloc[0]} pairs, unsteered, with 95 % intervals.",
            f"The same in all pairs, so left out: {same}." if same else "",
        )
    return shown.figure
