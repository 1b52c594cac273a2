"""Which site to steer at, from the table of all of them; read without the model."""

from dataclasses import dataclass

import pandas as pd

from ..brief import brief
from ..models.sites import Site
from ..pairs.polarity import Pairs
from .useful import USEFUL


@dataclass(frozen=True)
class SiteChoice:
    """The recommended site, why, and the table behind it: a row for each site and relative shift.

    `preference_gained` is half the difference between steering by +m and by -m, `utility_lost` the mean loss of both (nats). The
    same in every row of a site are `useful_gain`, what is gained up to the end of the useful range, with its interval over
    pairs (`low`, `high`); `behind`, the upper end of how far that lies above the best site's, below zero where it is surely
    less; and `layers_after`, how many layers come after it.
    """

    site: Site
    because: str
    table: pd.DataFrame

    __repr__ = brief


def learning_and_judging(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """The half from which a site's vectors are learned, and the half on which they are judged."""
    return pairs.split(0.5, seed=seed)


def recommend_site(table: pd.DataFrame, layers_after: int = 1) -> SiteChoice:
    """The site that gains most in the useful range, among those not surely worse one with so many layers after it.

    What a steer writes must be read by something: behind the last layer there is the unembedding alone.
    """
    sites = table.drop_duplicates(["layer", "place"]).sort_values("useful_gain", ascending=False, kind="stable")
    best, equal = sites.iloc[0], sites.loc[sites.behind >= 0]
    room = equal.loc[equal.layers_after >= layers_after]
    chosen = (room if len(room) else equal).iloc[0]
    because = f"where {USEFUL:g} nats of utility are lost its DiffMean vector gains {_gain(chosen)} of preference"
    if not len(room):
        because += f"; of the sites that are not worse none has {layers_after} layers after it"
    elif chosen.name != best.name:
        because += f"; {_name(best)} gains {_gain(best)}, not surely more, with {best.layers_after} layers after it"
    elif len(sites) > 1:
        because += f"; next best is {_name(sites.iloc[1])} with {_gain(sites.iloc[1])}"
    return SiteChoice(Site(int(chosen.layer), str(chosen.place)), because, table)


def _name(row: pd.Series) -> str:
    return f"{row.layer}:{row.place}"


def _gain(row: pd.Series) -> str:
    return f"{row.useful_gain:.2f} nats [{row.low:.2f}, {row.high:.2f}]"
