"""What an analysis gives back: its claims, and the tables that stand behind them.

An analysis is a file of this folder named like its claim. Its docstring states the claim in words, with the paper's
equation; `NAME` is the file's own name, and `run(evidence)` returns a `Result`.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key

MIN_PAIRS = 20
"""With fewer, a bootstrap over pairs has too few units for its ends to be trusted, so nothing is decided."""


@dataclass(frozen=True, eq=False)
class Result:
    """Claims about one steer, and tables by name with every number that they rest on."""

    claims: tuple[Claim, ...]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def undecided(
    claim: str, part: str, key: Key, unit: str, because: str, control: str = "none", against: str = ""
) -> Claim:
    """A claim of which the evidence says nothing."""
    nothing = ConfidenceInterval(np.nan, np.nan)
    return Claim(claim, part, key, np.nan, unit, nothing, control, Outcome.INCONCLUSIVE, because, against=against)


def too_few(n_pairs: int) -> str:
    """Why so few pairs decide nothing."""
    return f"{n_pairs} pairs are defined at every multiplier; {MIN_PAIRS} are needed. Measure more pairs."
