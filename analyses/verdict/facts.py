"""What a verdict rests on: one steer's rows of a study's tables."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, is_useful
from mechsteer.pairs.checks import Finding
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key

from ..studies.finished import Study

WORTH = 1.0
"""Nats of preference, as in `settles`: a gain that is worth the name."""
CHANGES = ("preference_change", "utility_change")
"""What is told of another concept."""


def nats(value: float) -> str:
    """As verdicts write them: no exponent, and no more digits than a reader needs."""
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


@dataclass(frozen=True, eq=False)
class Facts:
    """One steer of a finished study; a table that the study lacks, or that is not of this steer, has no rows."""

    study: Study
    sweep: Sweep

    @property
    def key(self) -> Key:
        return self.sweep.key

    def claim(self, name: str, part: str = "") -> Claim | None:
        """What was judged of this steer."""
        found = (claim for claim in self.study.claims if (claim.claim, claim.part) == (name, part))
        return next((claim for claim in found if claim.key == self.key), None)

    @property
    def chance(self) -> Outcome | None:
        """Whether it gains more than chance does at its shifts; None where that was not measured."""
        claim = self.claim("control")
        return None if claim is None or np.isnan(claim.estimate) else claim.outcome

    def rows(self, name: str) -> pd.DataFrame:
        """The steer's rows of a table."""
        return self.study.rows(name, self.key)

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """What the steer's method and form gain at each loss, over all training seeds; by budget."""
        rows = self.study.rows("frontier", self.key.without("seed", "settings"))
        return rows.set_index("budget") if len(rows) else rows

    @property
    def gained(self) -> pd.Series | None:
        """The row where half a nat is lost: `gained`, the mean of both directions, is what the word means everywhere."""
        return self.frontier.loc[USEFUL] if USEFUL in self.frontier.index else None

    def finding(self, *kinds: str) -> Finding | None:
        """The first thing of these kinds that was found of the pairs."""
        return next((finding for finding in self.study.findings if finding.kind in kinds), None)

    @property
    def settings(self) -> dict[str, Any]:
        """What the study was asked to do."""
        return self.study.summary.get("settings", {})

    @cached_property
    def gains(self) -> np.ndarray:
        """By multiplier: what preference has changed by in the direction of m (nats)."""
        preference = self.sweep.preference.mean(axis=1)
        return (preference - preference[self.sweep.zero]) * np.sign(self.sweep.multipliers)

    def gain_at(self, ends: tuple[float, float]) -> float:
        """The mean of what preference gains at a multiplier below zero and at one above (nats)."""
        return float(np.mean(np.interp(ends, self.sweep.multipliers, self.gains)))

    def side_effects(self, ends: tuple[float, float]) -> pd.DataFrame:
        """What the steer does to each other concept at two multipliers, on a line between those that were measured (nats)."""
        rows = self.rows("side_effects")
        if rows.empty:
            return rows
        rows = rows.sort_values("multiplier")
        own = (self.key.pairs, self.study.summary["pairs"]["testing"]["name"])
        others = rows.loc[~rows.measured_on.isin(own)].groupby("measured_on", sort=False)
        effects = [
            pd.DataFrame({"measured_on": str(name), "multiplier": ends}).assign(
                **{change: np.interp(ends, some.multiplier, some[change]) for change in CHANGES}
            )
            for name, some in others
        ]
        return pd.concat(effects, ignore_index=True) if effects else pd.DataFrame()

    @cached_property
    def within(self) -> np.ndarray:
        """Which multipliers lose at most half a nat."""
        return is_useful(self.sweep)
