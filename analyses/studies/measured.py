"""What a study measured of one of its steers, found by where the steer's file lies."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mechsteer.measuring.sweeps import Sweep

from ..verdict.facts import Facts
from ..verdict.reach import reach_of
from .finished import Fits, Study

PICTURE = "preference_utility.png"
"""The figure that a study draws of its curves."""


@dataclass(frozen=True)
class Measured:
    """A steer's part of a finished study."""

    study: Study
    sweep: Sweep

    @classmethod
    def of(cls, path: Path) -> "Measured | None":
        """Of the steer in this file; None where it does not lie among those of a study."""
        path = path.resolve()
        folder = path.parent.parent
        if path.parent.name != "interventions" or not (folder / "study.json").is_file():
            return None
        study = Study.load(folder)
        sweep = next((sweep for sweep in study.sweeps if sweep.key.slug == path.stem), None)
        return None if sweep is None else cls(study, sweep)

    @property
    def fits(self) -> Fits:
        """The paper's curves; none where the study holds none of this steer."""
        return self.study.fits.get(self.sweep.key, {})

    @property
    def useful(self) -> tuple[float, float]:
        """The useful range as in the verdict: by log-odds, and by texts where these were checked."""
        return reach_of(Facts(self.study, self.sweep)).ends

    @property
    def curve(self) -> pd.DataFrame:
        """Means over the pairs at every multiplier, nats; utility over those of which it is defined everywhere."""
        sweep = self.sweep
        defined = np.isfinite(sweep.utility).all(axis=0)
        utility = sweep.utility[:, defined].mean(axis=1) if defined.any() else np.nan
        return pd.DataFrame({
            "multiplier": sweep.multipliers, "relative_shift": sweep.relative_shift.mean(axis=1),
            "preference": sweep.preference.mean(axis=1), "utility": utility, "lost": sweep.lost.mean(axis=1),
        })  # fmt: skip

    @property
    def side_effects(self) -> pd.DataFrame:
        """What the steer does to other concepts at the ends of the useful range, as in the verdict."""
        effects = Facts(self.study, self.sweep).side_effects(self.useful)
        return effects.query("multiplier != 0") if len(effects) else effects

    @property
    def picture(self) -> Path | None:
        """The figure of the study's curves, if it has been drawn."""
        name = f"figures/{PICTURE}"
        return self.study.sums.path(name) if self.study.sums.has(name) else None
