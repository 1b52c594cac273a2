"""Collection: one steer's evidence from the model. After this, judging no longer needs the model.

These choices are made here, and hold for every claim that rests on them:

- A text is *handled well* (assumption 4.1 of arXiv 2602.02343) if its loss per token, unsteered, is at most the median
  of the learning texts. Only tokens of such texts define the manifold; test tokens come from all texts.
- Tokens are completion tokens, sampled uniformly without replacement under the seed, which bounds memory.
- Activations are read at multipliers spread over both sides of the sweep, including its ends. They are read at the site and
  at resid_post of later layers: all of them, or an evenly spread subset that includes the last.
- On the guestbook, answers are sampled at these multipliers and at some around the ends of the useful range.
- Where a LayerNorm reads the residual stream, it subtracts the component along (1, …, 1). That component is therefore removed
  from activations and from Δh.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

import mechsteer as ms
from mechsteer.engine import Plain, batches_of_pairs, batches_to_sweep, default_batch_tokens, engine_for
from mechsteer.engine.losses import batches, pair_texts
from mechsteer.engine.prefix import stopping
from mechsteer.interventions import Intervention, Shift
from mechsteer.interventions.wrapped import Wrapped
from mechsteer.manifolds.geometry import remove_ones
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import useful_range
from mechsteer.models.positions import steered_in
from mechsteer.models.prompts import EncodedPair

from .evidence import Evidence, LayerActivations, why_none
from .side_effects import on_the_guestbook

AROUND = (0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Shares of the useful range at which answers are also sampled: close enough that interpolation between two errs little."""

N_LEARNING_TOKENS = 4000
"""At most so many stand for the manifold."""

Texts = list[tuple[tuple[int, ...], int]]


def collect(
    model: ms.Model,
    intervention: Intervention,
    learning: ms.Pairs,
    testing: ms.Pairs,
    sweep: Sweep,
    learning_sweep: Sweep,
    *,
    concept: str = "",
    n_multipliers: int = 8,
    n_learning_tokens: int = N_LEARNING_TOKENS,
    n_test_tokens: int = 1500,
    n_later_layers: int = 8,
    n_queries: int = 64,
    seed: int = 0,
) -> Evidence:
    """Everything that claims about this steer are judged on; `sweep` is of the test pairs and says format and positions.

    Args:
        learning_sweep: a sweep of some of the learning pairs, at the same multipliers.
        concept: on a guestbook, the concept of the pairs; its exact checker then reads answers to some queries.
        n_queries: queries answered at each of the multipliers.
    """
    if sweep.pairs != tuple(pair.id for pair in testing):
        raise ms.InputError(
            "The sweep measured other pairs than the test pairs given. Pass the pairs that it measured."
        )
    because = why_none(intervention.sites, str(intervention.rule))
    if because or not isinstance(intervention, Shift):
        raise ms.InputError(because)
    site, positions, prompt_format = intervention.site, sweep.key.positions, sweep.key.prompt_format
    encoded, encoded_learning = (ms.encode_pairs(model, pairs, prompt_format) for pairs in (testing, learning))
    unsteered = ms.run_sweep(
        model, intervention, learning, np.zeros(1), prompt_format=prompt_format, positions=positions, progress=False
    )

    multipliers = spread(sweep.multipliers, n_multipliers)
    sites = [site, *(ms.Site(layer, "resid_post") for layer in later_layers(model, site.layer, n_later_layers))]
    rng = np.random.default_rng(seed)
    learning_texts, texts = pair_texts(encoded_learning), pair_texts(encoded)
    learning_tokens = draw_tokens(learning_texts, handled_well(unsteered), n_learning_tokens, rng)
    tokens = draw_tokens(texts, np.ones(len(texts), dtype=bool), n_test_tokens, rng)
    read = [
        read_activations(model, intervention, positions, pairs, chosen, at, sites)
        for pairs, chosen, at in (
            (encoded_learning, learning_tokens, np.zeros(1)),
            (encoded, tokens, np.append(0.0, multipliers)),
        )
    ]
    seen = seen_by(model)
    slopes = _slopes(model, intervention, positions, encoded)
    answers = pd.DataFrame()
    if concept:
        queries = [pair.query for pair in testing[:n_queries]]
        at = answered_at(sweep, multipliers).tolist()
        answers = on_the_guestbook(model, intervention, queries, at, concept, seed=seed)
    return Evidence(
        sweep=sweep,
        learning_sweep=learning_sweep,
        multipliers=multipliers,
        token_pair=tokens[:, 0] % len(testing),
        token_id=_ids(texts, tokens),
        token_position=tokens[:, 1],
        learning_token_id=_ids(learning_texts, learning_tokens),
        learning_token_position=learning_tokens[:, 1],
        layers={
            place.layer: LayerActivations(seen(learnt[0]), seen(tested[0]), seen(tested[1:]))
            for place, learnt, tested in zip(sites, *read, strict=True)
        },
        site_layer=site.layer,
        delta=seen(_mean_shifts(model, intervention, positions, encoded)),
        gradient_preference=slopes.gradient_preference,
        gradient_utility=slopes.gradient_utility,
        slope_preference=slopes.slope_preference,
        slope_utility=slopes.slope_utility,
        has_layer_norm=model.has_layer_norm,
        answers=answers,
        concept=concept,
        seed=seed,
    )


def seen_by(model: ms.Model) -> Callable[[ndarray], ndarray]:
    """What the model's norms leave of activations: where they subtract the mean, all but the part along (1, …, 1)."""
    return _remove_ones if model.has_layer_norm else np.asarray


def _remove_ones(h: ndarray) -> ndarray:
    return remove_ones(h.astype(np.float64)).astype(np.float32)


def spread(multipliers: Float[ndarray, " m"], n: int) -> Float[ndarray, " k"]:
    """About n nonzero multipliers, half on each side, evenly spread over those swept and including the ends."""
    chosen = []
    for side in (multipliers[multipliers < 0][::-1], multipliers[multipliers > 0]):
        steps = np.linspace(0, len(side), min(n // 2, len(side)) + 1)[1:]
        chosen.append(side[np.round(steps).astype(int) - 1])
    return np.sort(np.concatenate(chosen))


def answered_at(sweep: Sweep, multipliers: Float[ndarray, " k"]) -> Float[ndarray, " n"]:
    """These multipliers and some around the ends of the useful range, which decide how far answers stay valid."""
    around = np.outer(useful_range(sweep), AROUND).ravel()
    inside = (around >= sweep.multipliers.min()) & (around <= sweep.multipliers.max())
    return np.union1d(multipliers, around[inside])


def handled_well(sweep: Sweep) -> Bool[ndarray, " texts"]:
    """A mask of texts, positive ones first, whose unsteered loss per token is at most the median."""
    zero = sweep.zero
    per_token = np.concatenate(
        [sweep.loss_positive[zero] / sweep.tokens_positive, sweep.loss_negative[zero] / sweep.tokens_negative]
    )
    return per_token <= np.nanmedian(per_token)


def later_layers(model: ms.Model, layer: int, n: int) -> list[int]:
    """At most n later layers, evenly spread and including the last."""
    later = np.arange(layer + 1, model.n_layers)
    steps = np.linspace(0, len(later), min(n, len(later)) + 1)[1:]
    return later[np.round(steps).astype(int) - 1].tolist()


def draw_tokens(
    texts: Texts, allowed: Bool[ndarray, " texts"], n: int, rng: np.random.Generator
) -> Int[ndarray, "tokens 2"]:
    """(text, position) of at most n completion tokens, in order.

    A pair's two texts may share a prefix. The same prefix gives the same activation, which counts once.
    """
    places = {
        ids[: position + 1]: (row, position)
        for row, (ids, begin) in enumerate(texts)
        if allowed[row]
        for position in range(begin, len(ids))
    }
    kept = rng.choice(len(places), min(n, len(places)), replace=False)
    return np.array(sorted(places.values()))[np.sort(kept)]


def _ids(texts: Texts, tokens: Int[ndarray, "tokens 2"]) -> Int[ndarray, " tokens"]:
    return np.array([texts[row][0][position] for row, position in tokens])


def read_activations(
    model: ms.Model,
    intervention: Shift,
    positions: str,
    pairs: Sequence[EncodedPair],
    tokens: Int[ndarray, "tokens 2"],
    multipliers: Float[ndarray, " k"],
    sites: Sequence[ms.Site],
) -> list[Float[ndarray, "k tokens _"]]:
    """Activations at each site, shift included, for these tokens of the pairs' texts under each multiplier."""
    engine = engine_for(model, intervention, pairs)
    found = [np.zeros((len(multipliers), len(tokens), site.widths(model)[1]), np.float32) for site in sites]
    text, pair = np.divmod(tokens[:, 0], len(pairs))
    chosen = np.unique(pair)
    for batch in batches_to_sweep(model, [pairs[index] for index in chosen], len(multipliers)):
        row = np.full(len(pairs), -1)
        row[chosen[batch]] = np.arange(len(batch))
        here = np.flatnonzero(row[pair] >= 0)
        values = engine.activations(
            intervention,
            [pairs[index] for index in chosen[batch]],
            multipliers,
            positions,
            sites,
            np.stack([row[pair[here]], text[here], tokens[here, 1]], axis=1),
        )
        for target, value in zip(found, values, strict=True):
            target[:, here] = value
    return found


@torch.no_grad()
def _mean_shifts(
    model: ms.Model, intervention: Shift, positions: str, pairs: Sequence[EncodedPair], batch_size: int = 32
) -> Float[ndarray, "pairs d"]:
    """Each pair's mean Δh over the steered tokens of both texts."""
    texts = pair_texts(pairs)
    shifts, counts = np.zeros((len(texts), intervention.site.widths(model)[1])), np.zeros(len(texts))
    for item in batches(texts, batch_size, model.padding_token):
        rows, steered = list(item.rows), steered_in(item.batch, positions, model.bos_token)

        def look(h: Tensor, value: Tensor, rows: list[int] = rows, steered: Tensor = steered) -> None:
            delta = intervention.delta(h).cpu().double() * steered[..., None]
            shifts[rows], counts[rows] = delta.sum(dim=1).numpy(), steered.sum(dim=1).numpy()

        with stopping(model, intervention.site.hooks(look)):
            model.logits(item.batch)
    both = shifts.reshape(2, len(pairs), -1).sum(axis=0)
    return both / np.maximum(counts.reshape(2, -1).sum(axis=0), 1)[:, None]


@dataclass(frozen=True, eq=False)
class _FromZero(Wrapped):
    """A separate shift and a separate multiplier of the steer for each pair: all zero, and differentiable."""

    shift: Float[Tensor, "pairs d_out"]
    multiplier: Float[Tensor, " pairs"]

    def delta(self, h: Float[Tensor, "rows pos d_in"]) -> Float[Tensor, "rows pos d_out"]:
        # A pair is one row, or its positive texts' rows come first, then its negative ones'.
        rows = torch.arange(len(h)) % len(self.shift)
        shift, multiplier = self.shift[rows, None].to(h.device), self.multiplier[rows, None, None].to(h.device)
        return shift + multiplier * self.inner.delta(h).detach()


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives of each pair's preference and utility at m = 0."""

    gradient_preference: Float[ndarray, "pairs d"]
    gradient_utility: Float[ndarray, "pairs d"]
    slope_preference: Float[ndarray, " pairs"]
    slope_utility: Float[ndarray, " pairs"]


def _slopes(model: ms.Model, intervention: Shift, positions: str, pairs: Sequence[EncodedPair]) -> _Slopes:
    """A backward pass for each text of a batch's pairs: pairs do not see each other, so a sum's gradient holds each
    one's own."""
    engine, width = engine_for(model, intervention, pairs), intervention.site.widths(model)[1]
    losses, slopes, gradients = np.zeros((2, len(pairs))), np.zeros((2, len(pairs))), np.zeros((2, len(pairs), width))
    # Where every text has a forward of its own, so has every pair's shift.
    room = 1 if isinstance(engine, Plain) and engine.alone else default_batch_tokens(model, with_gradients=True)
    for rows in batches_of_pairs(pairs, room):
        n = len(rows)
        start = _FromZero(
            intervention.site,
            intervention,
            torch.zeros(n, width, requires_grad=True),
            torch.zeros(n, requires_grad=True),
        )
        with engine.losses(start, [pairs[row] for row in rows], torch.ones(n), positions) as both:
            for text, loss in enumerate(both):
                gradient, slope = torch.autograd.grad(
                    loss.sum(), (start.shift, start.multiplier), retain_graph=text == 0
                )
                losses[text, rows] = loss.detach().cpu().numpy()
                gradients[text, rows], slopes[text, rows] = gradient.numpy(), slope.numpy()

    # Eq. 8: dU/dL = -exp(-L) / (S (1 - S)), where S is the probability of either completion.
    log_either = np.logaddexp(-losses[0], -losses[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(-losses - log_either) / np.where(log_either < 0, -np.expm1(log_either), np.nan)
    return _Slopes(
        gradient_preference=gradients[1] - gradients[0],
        gradient_utility=-(share[..., None] * gradients).sum(axis=0),
        slope_preference=slopes[1] - slopes[0],
        slope_utility=-(share * slopes).sum(axis=0),
    )
