"""Which site to steer at, from the table of all of them; read without the model."""

from dataclasses import dataclass

import pandas as pd

from ..brief import brief
from ..models.sites import Site


@dataclass(frozen=True)
class SiteChoice:
    """The recommended site, why, and the table behind it: a row for each site and relative shift.

    `preference_gained` is half the difference between steering by +m and by -m, `utility_lost` the mean loss of both;
    `gain_per_nat` is their ratio, where a loss under one nat counts as one: near no loss at all a ratio says nothing.
    """

    site: Site
    because: str
    table: pd.DataFrame

    __repr__ = brief


def recommend_site(table: pd.DataFrame) -> SiteChoice:
    """The site with the best gain per nat at any relative shift, from a table of `choose_site`."""
    best_of_site = table.loc[table.groupby(["layer", "place"])["gain_per_nat"].idxmax()]
    ranked = best_of_site.sort_values("gain_per_nat", ascending=False)
    best = ranked.iloc[0]
    because = (
        f"at a relative shift of {best.relative_shift:g} its DiffMean vector gains {best.preference_gained:.2f} nats "
        f"of preference for {best.utility_lost:.2f} nats of utility"
    )
    if len(ranked) > 1:
        second = ranked.iloc[1]
        because += (
            f"; next best is {second.layer}:{second.place} with {second.preference_gained:.2f} for "
            f"{second.utility_lost:.2f} at {second.relative_shift:g}"
        )
    return SiteChoice(Site(int(best.layer), str(best.place)), because, table)
