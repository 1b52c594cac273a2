"""Prompting: asking for the concept in words, measured on the same pairs as the steers and set beside them.

arXiv 2602.02343 compares steers only with each other. A steer that gains less than a line of text at the same loss is hard to
recommend, so a study that has such a line compares every steer with it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import mechsteer as ms
from mechsteer.measuring.frontier import pair_weights
from mechsteer.measuring.log_odds import log_useful_probability
from mechsteer.measuring.sweeps import Sweep
from mechsteer.pairs.asking import Asking
from mechsteer.pairs.polarity import Pairs
from mechsteer.statistics.intervals import SeedsEstimate
from mechsteer.store.keys import labelled

from .comparison import SIDES, Compared, frontiers

if TYPE_CHECKING:
    from mechsteer.interventions import Intervention
    from mechsteer.models.model import Model


def ask(model: "Model", steer: "Intervention", pairs: Pairs, sweep: Sweep, asking: Asking) -> pd.DataFrame:
    """A row for each side and pair: preference gained towards that side, and utility lost (nats), by asking alone.

    The steer only selects the engine: at m = 0 the model is unsteered, bit for bit.
    """
    rows = []
    for sign, side in zip((-1, 1), SIDES, strict=True):
        asked = ms.run_sweep(model, steer, asking.of(side, pairs), [0.0], progress=False)
        before = log_useful_probability(sweep.loss_positive[sweep.zero], sweep.loss_negative[sweep.zero])
        after = log_useful_probability(asked.loss_positive[0], asked.loss_negative[0])
        gained = sign * (asked.preference[0] - sweep.preference[sweep.zero])
        rows.append(pd.DataFrame({"side": side, "pair": sweep.pairs, "gained": gained, "lost": before - after}))
    return pd.concat(rows, ignore_index=True)


def summarise(asked: pd.DataFrame, asking: Asking, seed: int = 0) -> pd.DataFrame:
    """A row for each side and one for their mean: what asking gains and loses, with intervals over pairs (nats)."""
    by_side = {side: asked.loc[asked.side == side] for side in SIDES}
    both = by_side[SIDES[0]].copy()
    for name in ("gained", "lost"):
        both[name] = np.mean([rows[name].to_numpy() for rows in by_side.values()], axis=0)
    rows = []
    for side, found in (*by_side.items(), ("both", both)):
        row = {"side": side, "text": getattr(asking, side, ""), "n_pairs": len(found)}
        for name in ("gained", "lost"):
            values = found[name].to_numpy()
            weights = pair_weights(len(values), seed=seed)
            interval = SeedsEstimate.of(values.mean(keepdims=True), weights[1:] @ values, len(values)).interval()
            row |= {name: values.mean(), f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def against_steers(sweeps: Sequence[Sweep], asked: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row for each method and form: its gain at the loss that asking has, averaged over both directions, and the difference,
    with an interval over pairs and seeds. Where asking loses nothing, the steer is compared at no loss."""
    loss = max(float(asked.lost.mean()), 0.0)
    gained = np.mean([asked.loc[asked.side == side, "gained"].to_numpy() for side in SIDES], axis=0)
    parts = []
    for compared in frontiers(sweeps, seed, budgets=(loss,)).values():
        parts.append(_row(compared, gained, loss, seed))
    return pd.concat(parts, ignore_index=True)


def _row(compared: Compared, gained: np.ndarray, loss: float, seed: int) -> pd.DataFrame:
    """Pairs whose utility is undefined somewhere are left out for the steer but not for asking. Without such pairs, both sides
    share their resamples."""
    item = compared.frontier
    drawn = pair_weights(len(gained), seed=seed)[1:] @ gained
    difference = SeedsEstimate.of(
        item.gained_by_seed[:, 0] - gained.mean(), item.gained_samples[:, 0] - drawn, item.n_pairs
    )
    interval = difference.interval()
    row = {
        "lost": loss, "asking": gained.mean(), "gained": item.gained[0],
        "difference": difference.estimate, "low": interval.low, "high": interval.high,
    }  # fmt: skip
    return labelled(pd.DataFrame([row]), compared.key)


def sentence(asked: pd.DataFrame, steers: pd.DataFrame) -> str:
    """What asking does, and how many steers gain more or less at the same loss."""
    both = asked.loc[asked.side == "both"].iloc[0]
    words = (
        f"Asking in words gains {_told(both, 'gained')} nats of preference and costs {_told(both, 'lost')} of utility; "
    )
    more, less = steers.loc[steers.low > 0], steers.loc[steers.high < 0]
    if not len(more):
        return (
            words
            + f"at that loss no steer gains significantly more, and {len(less)} of {len(steers)} gain significantly less."
        )
    best = more.sort_values("difference").iloc[-1]
    return words + (
        f"at that loss {len(more)} of {len(steers)} steers gain more; the largest lead is that of {best.method} as a "
        f"{best.form.replace('_', ' ')} ({best.difference:+.1f} [{best.low:.1f}, {best.high:.1f}])."
    )


def _told(row: pd.Series, name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
