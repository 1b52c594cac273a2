"""Three kinds of completions under one steer, of which some gain or lose more than the pairs: what `coverage` compares."""

from typing import Any

import numpy as np
import pandas as pd

from analyses.claims.coverage import PAIRS, SAMPLED, SECOND
from analyses.evidence.coverage import N_EACH, N_QUERIES, SHARES
from analyses.studies.subjects import N_SECOND
from mechsteer.store.keys import Key, labelled

from .losses import losses

ENDS = np.array([-6.0, 8.0])
"""Of the useful range."""
GRID = np.sort([0.0, *np.outer(ENDS, SHARES).ravel()])
AT = GRID / np.where(GRID < 0, *ENDS)
"""Where on the way to the ends each multiplier lies."""
GAIN, LOSS = 9.0, 0.5
"""Nats of preference gained, and of utility lost, at the ends of the useful range."""
SCALES = (0.5, 2.0)
"""Spread of what completions gain, and lose on either side of zero, beside the mean, as on the guestbook."""
HEIGHT = 0.8
"""Spread of pairs' unsteered preference."""


def completions(
    gained: float = 1.0, lost: float = 1.0, *, harder: float = 0.0, checked: bool = True, scatter: float = 1.0,
    n_pairs: int = 200, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Pairs, and others that gain and lose so many times as much.

    Args:
        harder: nats by which the second set's preference is lower, steered or not.
        checked: whether it is known which side sampled completions take.
        scatter: of completions, as a share of the guestbook's.
    """
    rng = np.random.default_rng([seed, 8])
    others = {"gained": gained, "lost": lost, "scatter": scatter}
    second = _of_pairs(SECOND, rng, min(N_SECOND, n_pairs), height=-harder, **others)
    parts = [_of_pairs(PAIRS, rng, n_pairs, scatter=scatter), second]
    n = N_EACH * min(N_QUERIES, n_pairs)
    side, query = rng.choice([-1, 1], n), np.arange(n) // N_EACH
    # Each is one of a pair of its own, of which either side is as likely.
    both = losses(*_log_odds(rng, n, **others))
    loss = np.where(side > 0, both[0], both[1])
    parts.append(_rows(SAMPLED, query, side * checked, loss))
    return labelled(
        pd.concat(parts, ignore_index=True), Key("planted", "vector", "add", "1:resid_post", pairs="planted")
    )


def _of_pairs(whose: str, rng: np.random.Generator, n: int, height: float = 0.0, **others: float) -> pd.DataFrame:
    preference, utility = _log_odds(rng, n, **others)
    found = losses(preference + height + HEIGHT * rng.standard_normal(n), utility)
    sides = zip((1, -1), found, strict=True)
    return pd.concat([_rows(whose, np.arange(n), np.full(n, side), loss) for side, loss in sides])


def _log_odds(
    rng: np.random.Generator, n: int, *, gained: float = 1.0, lost: float = 1.0, scatter: float
) -> tuple[np.ndarray, np.ndarray]:
    gains = 1 + scatter * SCALES[0] * rng.standard_normal(n)
    falls = 1 + scatter * SCALES[1] * rng.standard_normal((2, n))
    preference = np.outer(gained * GAIN * AT * np.sign(GRID), gains)
    return preference, -20 - lost * LOSS * (AT**2)[:, None] * falls[(GRID > 0).astype(int)]


def _rows(whose: str, query: np.ndarray, side: np.ndarray, loss: np.ndarray) -> pd.DataFrame:
    m, n = loss.shape
    about: dict[str, Any] = {"whose": whose, "pair": np.tile([f"pair {index}" for index in query], m)}
    about |= {"completion": np.tile(np.arange(n), m), "side": np.tile(side, m), "tokens": 16}
    return pd.DataFrame(about | {"multiplier": np.repeat(GRID, n), "loss": loss.ravel()})
