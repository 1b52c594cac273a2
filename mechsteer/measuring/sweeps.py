"""A sweep: what happened to the losses of polarity pairs as the multiplier of one intervention changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from ..errors import InputError
from ..models.sites import Site, parse_sites
from ..rooms import plot
from ..store.atomic import write_atomically
from ..store.keys import Key, keys_in, labelled, split_by_key
from ..store.sums import check_listed
from ..store.tables import Columns, counts, finite, read_table, words
from .log_odds import log_useful_probability, preference_log_odds, utility_log_odds

LOSSES = ("loss_positive", "loss_negative")
SHIFTS = ("relative_shift", "relative_shift_low", "relative_shift_high", "relative_shift_mean")
CELLS = (*SHIFTS, *LOSSES)
"""What a sweep's table says of a multiplier and a pair."""
COUNTS = ("tokens_positive", "tokens_negative")
"""What it says of a pair."""
COLUMNS: Columns = {
    "sites": words, "multiplier": finite, "pair": words, "relative_shift": finite,
    **dict.fromkeys(LOSSES, finite), **dict.fromkeys(COUNTS, counts),
}  # fmt: skip
"""What a file of sweeps must hold at least."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """Summed losses (nats) by multiplier and pair, and what they say of preference and utility.

    `relative_shift` is ‖shift‖/‖h‖, the median over the steered tokens of a pair's two texts, without those that begin a text and
    without sinks (interventions/relative_shift.py); `relative_shift_low` and `_high` are their 5 % and 95 % quantiles,
    `relative_shift_mean` the mean over all that are steered. Where there are several sites, each cell is of the one with the
    largest median, and `site_shifts` holds the medians of all. It is the axis on which forms with different natural
    multipliers can be compared. It is measured at each multiplier; nothing here takes it for linear in m.
    """

    multipliers: Float[ndarray, " m"]
    pairs: tuple[str, ...]
    loss_positive: Float[ndarray, "m pairs"]
    loss_negative: Float[ndarray, "m pairs"]
    tokens_positive: Int[ndarray, " pairs"]
    tokens_negative: Int[ndarray, " pairs"]
    relative_shift: Float[ndarray, "m pairs"]
    key: Key
    """What the sweep is of."""
    relative_shift_low: Float[ndarray, "m pairs"] | None = None
    relative_shift_high: Float[ndarray, "m pairs"] | None = None
    relative_shift_mean: Float[ndarray, "m pairs"] | None = None
    site_shifts: Float[ndarray, "sites m pairs"] | None = None
    """In the order of `sites`; None where there is one."""

    plot = plot

    def __repr__(self) -> str:
        ends = f"{self.multipliers[0]:g} to {self.multipliers[-1]:g}" if len(self.multipliers) else "none"
        return f"Sweep({self.key.steer!r}, {len(self.pairs)} pairs of {self.key.pairs!r}, m {ends} in {len(self.multipliers)})"

    def __post_init__(self):
        if np.any(np.diff(self.multipliers) <= 0):
            raise InputError(
                "The multipliers of a sweep must increase without repeats. Sort them and drop the doubles."
            )

    def check_finite(self) -> None:
        """Raise one sentence that says where a loss or a shift is no number."""
        for name in ("relative_shift", *LOSSES):
            strange = ~np.isfinite(values := getattr(self, name))
            if strange.any():
                row, column = np.argwhere(strange)[0]
                m = self.multipliers[row]
                remedy = (
                    "Nothing is steered there, so look at the model: its weights, or its dtype (float32 and bfloat16 reach far)."
                    if m == 0
                    else "Sweep a narrower range, or in float32."
                )
                raise InputError(
                    f"The {name.replace('_', ' ')} of pair {self.pairs[column]!r} is {values[row, column]} at m = {m:g}, as in "
                    f"{strange.sum()} of {strange.size} cells. {remedy}"
                )

    @property
    def method(self) -> str:
        return self.key.method

    @property
    def form(self) -> str:
        return self.key.form

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it steers, in the order of a forward."""
        return parse_sites(self.key.sites)

    @property
    def hooks(self) -> str:
        """TransformerLens's names of the hooks there."""
        return ",".join(site.hook for site in self.sites)

    @cached_property
    def preference(self) -> Float[ndarray, "m pairs"]:
        """Preference log-odds (nats)."""
        return preference_log_odds(self.loss_positive, self.loss_negative)

    @cached_property
    def utility(self) -> Float[ndarray, "m pairs"]:
        """Utility log-odds (nats); NaN where undefined."""
        return utility_log_odds(self.loss_positive, self.loss_negative)

    @cached_property
    def lost(self) -> Float[ndarray, "m pairs"]:
        """Utility lost since m = 0 (nats), as `useful.py` defines it."""
        log_useful = log_useful_probability(self.loss_positive, self.loss_negative)
        return log_useful[self.zero] - log_useful

    @property
    def zero(self) -> int:
        """The row at which nothing is steered."""
        if 0 not in self.multipliers:
            raise InputError(
                "The sweep has not measured m = 0, which this rests on. Sweep again, with 0 among its multipliers."
            )
        return int(np.flatnonzero(self.multipliers == 0)[0])

    def shift_at(self, multipliers: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
        """The mean relative shift there: on each side of zero, where nothing is shifted, between multipliers as measured at
        both, beyond them along the last two. A side that was not measured is taken for like the other."""
        at = np.asarray(multipliers, dtype=np.float64)
        return np.where(at < 0, *(_along(*self._side(sign), np.abs(at)) for sign in (-1, 1)))

    def signed_shift_at(self, multipliers: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
        """The same with the sign of m: the axis on which forms are drawn together."""
        return np.sign(multipliers) * self.shift_at(multipliers)

    def multiplier_at(self, shift: float, sign: int = 1) -> float:
        """The multiplier of this sign whose mean relative shift is `shift`; the inverse of `shift_at`."""
        sizes, shifts = self._side(sign)
        return sign * float(_along(shifts, sizes, np.array([shift]))[0])

    def accuracy_at(self, multipliers: Float[ndarray, "*n"], sign: int = 1) -> Float[ndarray, "*n"]:
        """Share of the pairs whose positive (or, by `sign`, negative) completion is the likelier one there, on a line between
        multipliers. With two-option pairs it is the accuracy that arXiv 2602.02343 reports of Psychopathy."""
        shares = ((sign * self.preference > 0) + 0.5 * (self.preference == 0)).mean(axis=1)
        return np.interp(multipliers, self.multipliers, shares)

    def _side(self, sign: int) -> tuple[Float[ndarray, " k"], Float[ndarray, " k"]]:
        """Sizes of the multipliers of one sign, from zero outwards, and the mean relative shift at each."""
        side = sign * self.multipliers > 0
        if not side.any():
            side = self.multipliers != 0
        sizes, shifts = np.abs(self.multipliers[side]), self.relative_shift[side].mean(axis=1)
        order = np.argsort(sizes)
        return np.append(0.0, sizes[order]), np.append(0.0, shifts[order])

    def to_frame(self) -> pd.DataFrame:
        """One row per multiplier and pair, with what the sweep is of."""
        n_multipliers, n_pairs = self.loss_positive.shape
        frame = pd.DataFrame(
            {
                "hook": self.hooks,
                "multiplier": np.repeat(self.multipliers, n_pairs),
                "pair": np.tile(np.array(self.pairs, dtype=object), n_multipliers),
                **{name: values.ravel() for name, values in self.cells.items()},
                **{name: np.tile(getattr(self, name), n_multipliers) for name in COUNTS},
                "preference": self.preference.ravel(),
                "utility": self.utility.ravel(),
            }
        )
        return labelled(frame, self.key)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Sweep":
        """The sweep that `to_frame` wrote, in whatever order its rows stand now; the frame holds one sweep."""
        keys = keys_in(frame)
        if len(keys) != 1:
            raise InputError(
                f"The table holds {len(keys)} sweeps, not one. Read it with load_sweeps, or keep one intervention."
            )
        multipliers, row = np.unique(frame["multiplier"].to_numpy(np.float64), return_inverse=True)
        column, pairs = pd.factorize(frame["pair"])
        cells = np.zeros((len(multipliers), len(pairs)), dtype=int)
        np.add.at(cells, (row, column), 1)
        if (cells != 1).any():
            at, which = np.argwhere(cells != 1)[0]
            raise InputError(
                f"The table holds {cells[at, which]} rows of pair {pairs[which]!r} at m = {multipliers[at]:g}, not one. "
                "Sweep again, or mend the table."
            )
        values = {}
        for name in (*CELLS, *(_at(site) for site in parse_sites(keys[0].sites))):
            if name in frame:
                values[name] = np.empty(cells.shape)
                values[name][row, column] = frame[name].to_numpy(np.float64)
        at_sites = [values.pop(name) for name in list(values) if name not in CELLS]
        if at_sites:
            values["site_shifts"] = np.stack(at_sites)
        for name in COUNTS:
            values[name] = np.empty(len(pairs), dtype=np.int64)
            values[name][column] = frame[name].to_numpy(np.int64)
        return cls(multipliers=multipliers, pairs=tuple(pairs.tolist()), key=keys[0], **values)

    @property
    def cells(self) -> dict[str, Float[ndarray, "m pairs"]]:
        """What the table says of each multiplier and pair, by the names of its columns."""
        found = {name: getattr(self, name) for name in CELLS if getattr(self, name) is not None}
        if self.site_shifts is not None:
            found |= {_at(site): values for site, values in zip(self.sites, self.site_shifts, strict=True)}
        return found

    def save(self, path: str | Path) -> Path:
        """Write the table as parquet."""
        return save_sweeps([self], path)

    @classmethod
    def load(cls, path: str | Path) -> "Sweep":
        """Read a table of one sweep."""
        return cls.from_frame(_read(path))


def shifts_of(measured: Float[ndarray, "sites 4 m pairs"]) -> dict[str, Float[ndarray, "..."]]:
    """A sweep's relative shifts, by its fields, from the `STATISTICS` that an engine has measured at each site."""
    low, median, high, mean = measured.swapaxes(0, 1)
    largest = median.argmax(axis=0)[None]
    cells = (np.take_along_axis(values, largest, axis=0)[0] for values in (median, low, high, mean))
    found = dict(zip(SHIFTS, cells, strict=True))
    return found | ({"site_shifts": median} if len(median) > 1 else {})


def _at(site: Site) -> str:
    """The column with the relative shift at one of several sites."""
    return f"relative_shift at {site}"


def save_sweeps(sweeps: Iterable[Sweep], path: str | Path) -> Path:
    """Write several sweeps into one parquet table; every loss in it is a number."""
    sweeps = list(sweeps)
    for sweep in sweeps:
        sweep.check_finite()
    keys = [sweep.key for sweep in sweeps]
    if len(set(keys)) < len(keys):
        raise InputError(f"Two sweeps are of the same steer and pairs, {max(keys, key=keys.count)}. Keep one of them.")
    frame = pd.concat([sweep.to_frame() for sweep in sweeps], ignore_index=True)
    return write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))


def load_sweeps(path: str | Path) -> list[Sweep]:
    """Read every sweep of a table, in the order in which they were written."""
    return [Sweep.from_frame(rows) for rows in split_by_key(_read(path)).values()]


def _along(x: Float[ndarray, " n"], y: Float[ndarray, " n"], at: Float[ndarray, "*k"]) -> Float[ndarray, "*k"]:
    """Straight lines between points, and their ends drawn out."""
    if len(x) == 1:
        return np.full(at.shape, y[0])
    slopes = np.diff(y) / np.where(np.diff(x) == 0, np.nan, np.diff(x))
    below, above = np.minimum(at - x[0], 0), np.maximum(at - x[-1], 0)
    return np.interp(at, x, y) + np.nan_to_num(slopes[0]) * below + np.nan_to_num(slopes[-1]) * above


def _read(path: str | Path) -> pd.DataFrame:
    """The table of a file, which can be one of sweeps."""
    check_listed(Path(path))
    return read_table(path, COLUMNS)
