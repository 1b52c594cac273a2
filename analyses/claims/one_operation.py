"""The three forms are one affine update, h' = (W + m ΔW) h + (b + m Δb) (arXiv 2602.02343, eq. 4).

Judged by logits under the steer's hooks against logits of the model whose own weight and bias are edited; edited_weights.py
compares them. The control is the same edit with its sign reversed, which must differ. That is algebra, and checks the software:
there is nothing to plant.
"""

import numpy as np
import pandas as pd

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome, judge
from mechsteer.store.keys import keys_in

from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "one_operation"
ORDER = 20
THEME = "mechanism"
NEEDS = "one_operation"
ACROSS = True
TITLES = {"": "Hooks and edited weights are one operation"}
CHECKS = ("",)
FIGURE = "one_operation"
TABLES = ["evidence/one_operation"]
TOLERANCE = 1e-3
"""Share of the change of logits: sums in another order leave some 1e-5 of it in float32."""
COLUMNS = ["pair", "multiplier", "difference", "change", "reversed", "tolerance"]


def run(table: pd.DataFrame) -> Result:
    """One claim for the rows of one steer; its interval is the range over texts.

    An identity has no luck in it, so a single text that breaks it refutes it.
    """
    unit, key = "share of the change of logits", keys_in(table)[0]
    if len(table) < MIN_PAIRS:
        return Result((undecided(NAME, "", key, unit, too_few(len(table))),))
    share = table.difference / table.change
    interval = ConfidenceInterval(float(share.min()), float(share.max()))
    tolerance, wrong = float(table.tolerance.max()), float((table.reversed / table.change).min())
    outcome = judge(ConfidenceInterval(interval.high, interval.high), (0.0, tolerance))
    if wrong <= tolerance:
        outcome = Outcome.INCONCLUSIVE
    because = (
        f"Hooks and edited weights give logits that differ by at most {interval.high:.1e} of what the steer changes, on "
        f"{len(table)} texts; rounding allows {tolerance:.1e}."
    )
    control = f"the edit with its sign reversed, which differs by at least {wrong:.2g} of that change"
    return Result((Claim(NAME, "", key, float(np.max(share)), unit, interval, control, outcome, because),))
