"""Frozen norms: a steer's effect when every norm keeps its unsteered denominator.

The paper's account adds a shift to a residual stream (arXiv 2602.02343, eqs. 10-17). It leaves out that norms divide by the size
of their input, which the shift changes. Here the model leaves it out too: each norm's denominator is taken, token by token, from
the unsteered forward of the same text. The mean that a LayerNorm subtracts is linear, so it stays as it is.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

import mechsteer as ms
from mechsteer.engine.losses import batches, completion_losses, pair_texts
from mechsteer.interventions import Intervention
from mechsteer.measuring.log_odds import preference_log_odds, utility_log_odds
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import useful_range
from mechsteer.models.native import is_centred, native_norms

SHARES = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Shares of the useful range on each side at which both are measured; the one beyond it is for inspection only."""
N_PAIRS = 48
BATCH = 32


def measure(
    model: ms.Model, intervention: Intervention, testing: ms.Pairs, sweep: Sweep, *, prompt_format: str | None = None
) -> pd.DataFrame:
    """A row for each pair and multiplier of a sample: log-odds as they are, and with norms frozen."""
    pairs = ms.encode_pairs(model, testing[:N_PAIRS], prompt_format or sweep.key.prompt_format)
    shares = np.array([0.0, *(sign * share for share in SHARES for sign in (-1, 1))])
    low, high = useful_range(sweep)
    multipliers = np.where(shares < 0, -low, high) * shares
    kept = (multipliers >= sweep.multipliers[0]) & (multipliers <= sweep.multipliers[-1])
    shares, multipliers = shares[kept], multipliers[kept]
    texts = pair_texts(pairs)
    losses = np.zeros((2, len(multipliers), len(texts)))
    for item in batches(texts, BATCH, model.padding_token):
        norms = Norms.of(model)
        with torch.no_grad(), norms.read():
            completion_losses(model, item.batch)
        for index, multiplier in enumerate(multipliers):
            for is_frozen in (False, True):
                with ExitStack() as stack, torch.no_grad():
                    stack.enter_context(ms.steer(model, intervention, float(multiplier), sweep.key.positions))
                    if is_frozen:
                        stack.enter_context(norms.frozen())
                    found = completion_losses(model, item.batch)[0]
                losses[int(is_frozen), index, list(item.rows)] = found.cpu().numpy()
    positive, negative = losses[..., : len(pairs)], losses[..., len(pairs) :]
    log_odds = {"preference": preference_log_odds(positive, negative), "utility": utility_log_odds(positive, negative)}
    table = {"pair": np.tile([pair.id for pair in pairs], len(multipliers))}
    table |= {"multiplier": np.repeat(multipliers, len(pairs)), "share": np.repeat(shares, len(pairs))}
    for name, values in log_odds.items():
        table |= {name: values[0].ravel(), f"{name}_frozen": values[1].ravel()}
    return pd.DataFrame(table)


@dataclass(frozen=True, eq=False)
class Norms:
    """The norms of a model, and the denominators of each for the tokens of one batch, call by call."""

    modules: tuple[Any, ...]
    denominators: dict[Any, list[Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ms.Model) -> "Norms":
        found = tuple(native_norms(model.bridge))
        if not found:
            raise ms.InputError(f"The model {model.name} has no LayerNorm and no RMSNorm, so there is none to freeze.")
        return cls(found)

    @contextmanager
    def read(self) -> Iterator[None]:
        """Inside, denominators are recorded."""
        self.denominators.clear()

        def note(module: Any, args: tuple[Any, ...], output: Tensor) -> None:
            self.denominators.setdefault(module, []).append(_denominator(module, args[0]))

        with self._hooks({module: note for module in self.modules}):
            yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, norms divide by the recorded denominators."""

        def freeze(calls: Iterator[Tensor], module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            # After dividing, a norm is linear except for its bias.
            bias = getattr(module, "bias", None)
            bias = torch.zeros(()) if bias is None else bias
            scaled = (output - bias.to(output)).float() * _denominator(module, args[0]) / next(calls)
            return (scaled + bias.to(scaled)).to(output.dtype)

        with self._hooks({module: partial(freeze, iter(calls)) for module, calls in self.denominators.items()}):
            yield

    @contextmanager
    def _hooks(self, hooks: dict[Any, Any]) -> Iterator[None]:
        handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _denominator(module: Any, h: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 1"]:
    h = h.float()
    if is_centred(module):
        h = h - h.mean(dim=-1, keepdim=True)
    epsilon = getattr(module, "eps", getattr(module, "variance_epsilon", 1e-5))
    return (h.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()
