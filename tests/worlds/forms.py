"""Studies of several forms, of which each loses utility by its shift: where vectors do, or nearer to zero, or further away."""

from dataclasses import replace
from typing import Any

import numpy as np

from mechsteer.measuring.sweeps import Sweep

from . import curves

SHIFTS = 0.3
"""Spread (of logarithms) of pairs' shifts under forms that are no vectors, between those of the guestbook's LoRA and local
weight."""


def forms(
    ratio: float = 1.0, *, one_side: bool = False, vectors_apart: float = 0.0, ruled: float = 1.0, n_pairs: int = 200,
    seed: int = 0,
) -> list[Sweep]:  # fmt: skip
    """Three vectors, a LoRA and a local weight on the same pairs.

    Args:
        ratio: the shift at which the other forms lose what vectors do, as a multiple of theirs.
        one_side: where m is positive alone; elsewhere as vectors do.
        vectors_apart: spread (of logarithms) of the vectors among themselves.
        ruled: by how much shifts of the other forms are longer on a tenth of the pairs, which lose no more for it: activations
            are small there where they fall, beside a norm that sinks rule.
    """
    rng = np.random.default_rng([seed, 4])
    found = []
    for method, form in (
        ("DiffMean", "vector"),
        ("SFT", "vector"),
        ("SPLIT", "vector"),
        ("SFT", "lora"),
        ("SFT", "local_weight"),
    ):
        is_vector = form == "vector"
        wide = float(np.exp(vectors_apart * rng.standard_normal())) if is_vector else ratio

        def utility(
            multipliers: np.ndarray, wide: float = wide, one_side: bool = one_side and not is_vector
        ) -> np.ndarray:
            return curves.UTILITY(np.where(one_side & (multipliers < 0), multipliers, multipliers / wide))

        sweep = curves.sweep(
            utility=utility, n_pairs=n_pairs, seed=int(rng.integers(2**31)), pairs_seed=seed, method=method
        )
        own = np.exp(SHIFTS * (not is_vector) * rng.standard_normal(n_pairs))
        own /= own.mean()
        if not is_vector:
            own[np.arange(n_pairs) % 10 == 0] *= ruled
        found.append(replace(sweep, key=replace(sweep.key, form=form), relative_shift=sweep.relative_shift * own))
    return found


def vectors_and_lora(ratio: float = 1.0, **settings: Any) -> list[Sweep]:
    """The same without the local weight, so that there is one claim."""
    return forms(ratio, **settings)[:-1]
