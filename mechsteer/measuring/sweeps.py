"""A sweep: what happened to the losses of polarity pairs as the multiplier of one intervention changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from ..errors import InputError
from ..store.atomic import write_atomically
from .log_odds import preference_log_odds, utility_log_odds

LABELS: dict[str, Any] = {
    "intervention": str,
    "form": str,
    "method": str,
    "layer": int,
    "place": str,
    "hook": str,
    "positions": str,
    "prompt_format": str,
}
"""What is the same in every row of a sweep's table."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """Summed losses (nats) by multiplier and pair, and what they say of preference and utility.

    `relative_shift` is ‖mΔh‖/‖h‖ at the site, averaged over the steered positions of a pair's two texts: the axis
    on which forms with different natural multipliers can be compared.
    """

    multipliers: Float[ndarray, " m"]
    pairs: tuple[str, ...]
    loss_positive: Float[ndarray, "m pairs"]
    loss_negative: Float[ndarray, "m pairs"]
    tokens_positive: Int[ndarray, " pairs"]
    tokens_negative: Int[ndarray, " pairs"]
    relative_shift: Float[ndarray, "m pairs"]
    intervention: str
    form: str
    method: str
    layer: int
    place: str
    hook: str = ""
    positions: str = "all"
    prompt_format: str = "raw"

    def __post_init__(self):
        if np.any(np.diff(self.multipliers) <= 0):
            raise InputError(
                "The multipliers of a sweep must increase without repeats. Sort them and drop the doubles."
            )

    @cached_property
    def preference(self) -> Float[ndarray, "m pairs"]:
        """Preference log-odds (nats)."""
        return preference_log_odds(self.loss_positive, self.loss_negative)

    @cached_property
    def utility(self) -> Float[ndarray, "m pairs"]:
        """Utility log-odds (nats); NaN where undefined."""
        return utility_log_odds(self.loss_positive, self.loss_negative)

    def to_frame(self) -> pd.DataFrame:
        """One row per multiplier and pair."""
        n_multipliers, n_pairs = self.loss_positive.shape
        return pd.DataFrame(
            {
                **{name: getattr(self, name) for name in LABELS},
                "multiplier": np.repeat(self.multipliers, n_pairs),
                "relative_shift": self.relative_shift.ravel(),
                "pair": np.tile(np.array(self.pairs, dtype=object), n_multipliers),
                "loss_positive": self.loss_positive.ravel(),
                "loss_negative": self.loss_negative.ravel(),
                "tokens_positive": np.tile(self.tokens_positive, n_multipliers),
                "tokens_negative": np.tile(self.tokens_negative, n_multipliers),
                "preference": self.preference.ravel(),
                "utility": self.utility.ravel(),
            }
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Sweep":
        """The sweep that `to_frame` wrote; the frame holds one intervention."""
        labels = frame[list(LABELS)].drop_duplicates()
        if len(labels) != 1:
            raise InputError(
                f"The table holds {len(labels)} sweeps, not one. Read it with load_sweeps, or keep one intervention."
            )
        label = {name: kind(labels.iloc[0][name]) for name, kind in LABELS.items()}
        pairs = tuple(frame["pair"].unique())
        shape = (-1, len(pairs))
        first = frame.iloc[: len(pairs)]
        return cls(
            multipliers=frame["multiplier"].to_numpy(np.float64).reshape(shape)[:, 0],
            pairs=pairs,
            loss_positive=frame["loss_positive"].to_numpy(np.float64).reshape(shape),
            loss_negative=frame["loss_negative"].to_numpy(np.float64).reshape(shape),
            tokens_positive=first["tokens_positive"].to_numpy(np.int64),
            tokens_negative=first["tokens_negative"].to_numpy(np.int64),
            relative_shift=frame["relative_shift"].to_numpy(np.float64).reshape(shape),
            **label,
        )

    def save(self, path: str | Path) -> Path:
        """Write the table as parquet."""
        return save_sweeps([self], path)

    @classmethod
    def load(cls, path: str | Path) -> "Sweep":
        """Read a table of one sweep."""
        return cls.from_frame(_read(path))


def save_sweeps(sweeps: Iterable[Sweep], path: str | Path) -> Path:
    """Write several sweeps into one parquet table."""
    sweeps = list(sweeps)
    names = [sweep.intervention for sweep in sweeps]
    if len(set(names)) < len(names):
        raise InputError(f"Two sweeps are called {max(names, key=names.count)!r}. Give each a name of its own.")
    frame = pd.concat([sweep.to_frame() for sweep in sweeps], ignore_index=True)
    return write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))


def load_sweeps(path: str | Path) -> list[Sweep]:
    """Read every sweep of a table, in the order in which they were written."""
    frame = _read(path)
    return [Sweep.from_frame(rows) for _, rows in frame.groupby("intervention", sort=False)]


def _read(path: str | Path) -> pd.DataFrame:
    if not Path(path).is_file():
        raise InputError(f"There is no table of sweeps at {str(path)!r}. Pass a .parquet file that mechsteer wrote.")
    return pd.read_parquet(path)
