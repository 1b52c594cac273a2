"""Collection: one steer's evidence from the model. Judging needs the model no more.

What is chosen here, and stated for every claim that rests on it:

- A text is *handled well* (assumption 4.1 of arXiv 2602.02343) if its loss per token, unsteered, is at most the median
  of the learning texts. Only tokens of such texts stand for the manifold; test tokens are of all texts.
- Tokens are completion tokens, drawn uniformly without replacement and by the seed, so memory is bounded.
- Activations are read at multipliers spread over both sides of the sweep, its ends among them, and at the site and
  resid_post of later layers: all of them, or some evenly spread with the last among them.
- Where a LayerNorm reads the residual stream, the part along (1, …, 1), which it subtracts, is removed from
  activations and from Δh.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

import mechsteer as ms
from mechsteer.engine.prefix import residual_entering, resumed
from mechsteer.geometry import remove_ones
from mechsteer.interventions import Intervention
from mechsteer.losses import TextBatch, batches, completion_losses, pair_texts
from mechsteer.prompts import EncodedPair
from mechsteer.sweeps import Sweep

from .evidence import Evidence, LayerActivations
from .side_effects import on_the_guestbook

Texts = list[tuple[tuple[int, ...], int]]


def collect(
    model: ms.Model,
    intervention: Intervention,
    learning: ms.Pairs,
    testing: ms.Pairs,
    sweep: Sweep,
    *,
    prompt_format: str | None = None,
    n_multipliers: int = 8,
    n_learning_pairs: int = 100,
    n_learning_tokens: int = 4000,
    n_test_tokens: int = 1500,
    n_later_layers: int = 8,
    n_queries: int = 64,
    batch_size: int = 32,
    seed: int = 0,
) -> Evidence:
    """Everything that claims about this steer are judged by; `sweep` is of the test pairs, format and positions too.

    Args:
        prompt_format: by default the sweep's.
        n_learning_pairs: how many of the learning pairs, drawn by the seed, are swept.
        n_queries: on the guestbook, how many queries are answered at each of the multipliers, for its exact checker.
    """
    if sweep.pairs != tuple(pair.id for pair in testing):
        raise ms.InputError("The sweep is of other pairs than the test pairs that came. Pass those that it measured.")
    site, positions = intervention.site, sweep.positions
    prompt_format = prompt_format or sweep.prompt_format
    encoded, encoded_learning = (ms.encode_pairs(model, pairs, prompt_format) for pairs in (testing, learning))
    some = learning.sample(min(n_learning_pairs, len(learning)), seed=seed)
    unsteered, learning_sweep = (
        ms.run_sweep(
            model,
            intervention,
            pairs,
            grid,
            prompt_format=prompt_format,
            positions=positions,
            name=sweep.intervention,
            progress=False,
        )
        for pairs, grid in ((learning, np.zeros(1)), (some, sweep.multipliers))
    )

    multipliers = spread(sweep.multipliers, n_multipliers)
    sites = [site, *(ms.Site(layer, "resid_post") for layer in _later_layers(model, site.layer, n_later_layers))]
    rng = np.random.default_rng(seed)
    learning_texts, texts = pair_texts(encoded_learning), pair_texts(encoded)
    learning_tokens = _draw_tokens(learning_texts, handled_well(unsteered), n_learning_tokens, rng)
    tokens = _draw_tokens(texts, np.ones(len(texts), dtype=bool), n_test_tokens, rng)
    read = [
        _read(model, intervention, positions, chosen_texts, chosen, at, sites, batch_size)
        for chosen_texts, chosen, at in (
            (learning_texts, learning_tokens, np.zeros(1)),
            (texts, tokens, np.append(0.0, multipliers)),
        )
    ]
    seen = _remove_ones if model.has_layer_norm else np.asarray
    slopes = _slopes(model, intervention, positions, encoded, batch_size)
    answers = pd.DataFrame()
    if model.name == "guestbook" and testing.name.startswith("guestbook/"):
        queries = [pair.query for pair in testing[:n_queries]]
        answers = on_the_guestbook(
            model, intervention, queries, multipliers.tolist(), name=sweep.intervention, seed=seed
        )
    return Evidence(
        subject=f"{sweep.intervention} on {testing.name}",
        sweep=sweep,
        learning_sweep=learning_sweep,
        multipliers=multipliers,
        token_pair=tokens[:, 0] % len(testing),
        layers={
            place.layer: LayerActivations(seen(learnt[0]), seen(tested[0]), seen(tested[1:]))
            for place, learnt, tested in zip(sites, *read, strict=True)
        },
        site_layer=site.layer,
        delta=seen(slopes.delta),
        gradient_preference=slopes.gradient_preference,
        gradient_utility=slopes.gradient_utility,
        slope_preference=slopes.slope_preference,
        slope_utility=slopes.slope_utility,
        has_layer_norm=model.has_layer_norm,
        answers=answers,
        seed=seed,
    )


def _remove_ones(h: ndarray) -> ndarray:
    return remove_ones(h.astype(np.float64)).astype(np.float32)


def spread(multipliers: Float[ndarray, " m"], n: int) -> Float[ndarray, " k"]:
    """About n of the multipliers without zero, half on each side, evenly among those swept; the ends are among them."""
    chosen = []
    for side in (multipliers[multipliers < 0][::-1], multipliers[multipliers > 0]):
        steps = np.linspace(0, len(side), min(n // 2, len(side)) + 1)[1:]
        chosen.append(side[np.round(steps).astype(int) - 1])
    return np.sort(np.concatenate(chosen))


def handled_well(sweep: Sweep) -> Bool[ndarray, " texts"]:
    """Which texts, positive ones first, have a loss per token of at most the median, unsteered."""
    zero = int(np.argmin(np.abs(sweep.multipliers)))
    per_token = np.concatenate(
        [sweep.loss_positive[zero] / sweep.tokens_positive, sweep.loss_negative[zero] / sweep.tokens_negative]
    )
    return per_token <= np.nanmedian(per_token)


def _later_layers(model: ms.Model, layer: int, n: int) -> list[int]:
    """At most n layers above this one, evenly spread, with the last."""
    later = np.arange(layer + 1, model.n_layers)
    steps = np.linspace(0, len(later), min(n, len(later)) + 1)[1:]
    return later[np.round(steps).astype(int) - 1].tolist()


def _draw_tokens(
    texts: Texts, allowed: Bool[ndarray, " texts"], n: int, rng: np.random.Generator
) -> Int[ndarray, "tokens 2"]:
    """(text, position) of at most n completion tokens, in order.

    A pair's texts may begin alike: what has read the same tokens is one activation, and counts once.
    """
    places = {
        ids[: position + 1]: (row, position)
        for row, (ids, begin) in enumerate(texts)
        if allowed[row]
        for position in range(begin, len(ids))
    }
    kept = rng.choice(len(places), min(n, len(places)), replace=False)
    return np.array(sorted(places.values()))[np.sort(kept)]


@torch.no_grad()
def _read(
    model: ms.Model,
    intervention: Intervention,
    positions: str,
    texts: Texts,
    tokens: Int[ndarray, "tokens 2"],
    multipliers: Float[ndarray, " k"],
    sites: Sequence[ms.Site],
    batch_size: int,
) -> list[Float[ndarray, "k tokens _"]]:
    """What stands at each site, the shift included, at these tokens under each multiplier."""
    layer = intervention.site.layer
    found = [np.zeros((len(multipliers), len(tokens), site.widths(model)[1]), np.float32) for site in sites]
    rows = np.unique(tokens[:, 0])
    for item in batches([texts[row] for row in rows], batch_size, model.padding_token):
        chosen = rows[list(item.rows)]
        place = {row: index for index, row in enumerate(chosen)}
        here = np.flatnonzero(np.isin(tokens[:, 0], chosen))
        at = torch.tensor([[place[row], position] for row, position in tokens[here]]).unbind(dim=1)
        nowhere = torch.zeros_like(item.batch.completion_mask)
        with resumed(model, layer, residual_entering(model, layer, item.batch)):
            for index, multiplier in enumerate(multipliers):
                # The hooks that read come after the steer's, so they see what it has made.
                with ms.steer(model, intervention, float(multiplier), positions), _reading(model, sites, at) as values:
                    model.logits(item.batch, at=nowhere)
                for target, site in zip(found, sites, strict=True):
                    target[index, here] = values[site]
    return found


@contextmanager
def _reading(model: ms.Model, sites: Sequence[ms.Site], at: tuple[Tensor, ...]) -> Iterator[dict[ms.Site, ndarray]]:
    values: dict[ms.Site, ndarray] = {}

    def look_at(site: ms.Site):
        def look(h: Tensor, value: Tensor) -> None:
            values[site] = value[tuple(index.to(value.device) for index in at)].float().cpu().numpy()

        return look

    with model.hooks([hook for site in sites for hook in site.hooks(look_at(site))]):
        yield values


@dataclass(frozen=True, eq=False)
class _FromZero(Intervention):
    """A shift of each row's own, plus the steer at each row's own multiplier; both are zero, and have gradients."""

    inner: Intervention
    shift: Float[Tensor, "batch d_out"]
    multiplier: Float[Tensor, " batch"]
    deltas: list[Tensor]

    def delta(self, h: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_out"]:
        delta = self.inner.delta(h).detach()
        self.deltas[:] = [delta]
        shift = rearrange(self.shift, "batch d_out -> batch 1 d_out").to(delta.device)
        return shift + rearrange(self.multiplier, "batch -> batch 1 1").to(delta.device) * delta

    @property
    def widths(self) -> tuple[int | None, int]:
        return self.inner.widths


@dataclass(frozen=True, eq=False)
class _Slopes:
    """How preference and utility of each pair leave m = 0, and its mean Δh."""

    delta: Float[ndarray, "pairs d"]
    gradient_preference: Float[ndarray, "pairs d"]
    gradient_utility: Float[ndarray, "pairs d"]
    slope_preference: Float[ndarray, " pairs"]
    slope_utility: Float[ndarray, " pairs"]


def _slopes(
    model: ms.Model, intervention: Intervention, positions: str, pairs: Sequence[EncodedPair], batch_size: int
) -> _Slopes:
    """One backward pass for each batch: rows do not see each other, so the sum's gradient holds each row's own."""
    texts, width = pair_texts(pairs), intervention.site.widths(model)[1]
    losses, slopes, counts = np.zeros((3, len(texts)))
    gradients, deltas = np.zeros((2, len(texts), width))
    for item in batches(texts, batch_size, model.padding_token):
        rows, steered = list(item.rows), steered_positions(model, item, positions)
        start = _FromZero(
            intervention.site,
            intervention,
            torch.zeros(len(rows), width, requires_grad=True),
            torch.zeros(len(rows), requires_grad=True),
            [],
        )
        layer = intervention.site.layer
        with resumed(model, layer, residual_entering(model, layer, item.batch)), ms.steer(model, start, 1.0, steered):
            loss, _ = completion_losses(model, item.batch)
            gradient, slope = torch.autograd.grad(loss.sum(), (start.shift, start.multiplier))
        losses[rows] = loss.detach().cpu().numpy()
        gradients[rows], slopes[rows] = gradient.cpu().numpy(), slope.cpu().numpy()
        delta = start.deltas[0].float().cpu() * steered[..., None]
        deltas[rows], counts[rows] = delta.double().sum(dim=1).numpy(), steered.sum(dim=1).numpy()

    n_pairs = len(pairs)
    positive, negative = slice(None, n_pairs), slice(n_pairs, None)
    # Eq. 8: dU/dL = -exp(-L) / (S (1 - S)), where S is the probability of either completion.
    log_either = np.logaddexp(-losses[positive], -losses[negative])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(-losses.reshape(2, n_pairs) - log_either) / np.where(
            log_either < 0, -np.expm1(log_either), np.nan
        )
    return _Slopes(
        delta=(deltas[positive] + deltas[negative]) / np.maximum(counts[positive] + counts[negative], 1)[:, None],
        gradient_preference=gradients[negative] - gradients[positive],
        gradient_utility=-(share[0][:, None] * gradients[positive] + share[1][:, None] * gradients[negative]),
        slope_preference=slopes[negative] - slopes[positive],
        slope_utility=-(share[0] * slopes[positive] + share[1] * slopes[negative]),
    )


def steered_positions(model: ms.Model, item: TextBatch, positions: str) -> Bool[Tensor, "batch pos"]:
    """The tokens that `steer` means by "all", "completion" or "query", in a batch that is padded on the right."""
    steered = item.batch.attention_mask.clone()
    if model.bos_token is not None:
        steered[:, 0] &= item.batch.tokens[:, 0] != model.bos_token
    completion = item.batch.completion_mask
    return steered & {"all": steered, "completion": completion, "query": ~completion}[positions]
