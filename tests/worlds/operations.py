"""A layer that hooks and edited weights change alike, or not: what `one_operation` compares, without a model."""

import numpy as np
import pandas as pd

from analyses.claims.one_operation import COLUMNS, TOLERANCE
from mechsteer.store.keys import Key, labelled

D_IN, D_OUT, N_TOKENS = 24, 16, 5


def compared(*, gated: bool = False, n_pairs: int = 24, seed: int = 0) -> pd.DataFrame:
    """A row for each text; `gated` is an intervention that leaves half of the tokens alone, which no edit of weights does."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.float32(shape[-1]))

    weight, bias, change, shift, readout = (
        draw(D_OUT, D_IN),
        draw(D_OUT),
        draw(D_OUT, D_IN),
        draw(D_OUT),
        draw(40, D_OUT),
    )
    inputs = rng.standard_normal((n_pairs, N_TOKENS, D_IN)).astype(np.float32)
    acts = inputs[..., :1] > 0 if gated else np.ones_like(inputs[..., :1])

    def logits(hidden: np.ndarray) -> np.ndarray:
        return np.tanh(hidden) @ readout.T

    def edited(multiplier: float) -> np.ndarray:
        factor = np.float32(multiplier)
        return logits(inputs @ (weight + factor * change).T + (bias + factor * shift))

    hooked = logits(inputs @ weight.T + bias + np.float32(0.5) * acts * (inputs @ change.T + shift))
    sizes = [np.abs(hooked - other).max(axis=(1, 2)) for other in (edited(0.5), edited(0.0), edited(-0.5))]
    rows = [(f"pair {index}", 0.5, *map(float, size), TOLERANCE) for index, size in enumerate(zip(*sizes, strict=True))]
    key = Key("planted", "vector", "add", "1:resid_post", pairs="planted")
    return labelled(pd.DataFrame(rows, columns=COLUMNS), key)
