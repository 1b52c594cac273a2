"""Coverage: what a steer does to completions other than a pair's two: the model's own samples, and a second set of pairs.

The unsteered model answers the pairs' queries at temperature 1. Losses are sums over tokens, so longer texts lose more whatever
they say. A sample that has not ended by the length of the longest completion is therefore cut at the length of its own pair's
completions. Samples that do end are kept whole: cutting them too would leave samples shorter than pairs on average. On a
guestbook the exact checker says which side of the concept each sample takes.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.measuring.generation import generate_tokens
from mechsteer.measuring.log_odds import log_useful_probability
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import useful_range
from mechsteer.models.prompts import EncodedPair, encode_prompt

from ..claims.coverage import PAIRS, SAMPLED, SECOND

SHARES = (0.1, 0.5, 0.85, 1.0, 1.4, 2.0)
"""Shares of the useful range on each side, up to twice its width: the swept multipliers nearest to these are compared."""
N_QUERIES, N_EACH = 160, 3
"""Queries, and completions sampled for each."""
AT_ONCE = 64
"""Completions written in one batch."""


def measure(
    model: ms.Model,
    intervention: ms.Intervention,
    testing: ms.Pairs,
    sweep: Sweep,
    second: ms.Pairs | None = None,
    *,
    concept: str = "",
    seed: int = 0,
) -> pd.DataFrame:
    """A row for each completion and multiplier: its loss (nats), its source, and its side of the concept (1, -1; 0 if unknown).

    Args:
        sweep: the sweep of the pairs, which also says format and positions.
        second: more pairs of the same concept.
        concept: the concept of the pairs, on a guestbook with its own model.
    """
    multipliers = compared_at(sweep)
    parts = [_of_sweep(PAIRS, sweep, multipliers)]
    parts.append(_of_sampled(model, intervention, testing[:N_QUERIES], sweep, multipliers, concept, seed))
    if second is not None:
        swept = ms.run_sweep(
            model, intervention, second, multipliers, prompt_format=sweep.key.prompt_format, positions=sweep.key.positions,
            progress=False,
        )  # fmt: skip
        parts.append(_of_sweep(SECOND, swept, multipliers))
    return pd.concat(parts, ignore_index=True)


def compared_at(sweep: Sweep) -> Float[ndarray, " k"]:
    """Some of the sweep's multipliers, zero among them."""
    wanted = np.outer(useful_range(sweep), SHARES).ravel()
    nearest = np.abs(sweep.multipliers[:, None] - wanted).argmin(axis=0)
    return sweep.multipliers[np.union1d(nearest, sweep.zero)]


def _of_sweep(whose: str, sweep: Sweep, multipliers: Float[ndarray, " k"]) -> pd.DataFrame:
    rows = np.isin(sweep.multipliers, multipliers)
    sides = (1, sweep.tokens_positive, sweep.loss_positive), (-1, sweep.tokens_negative, sweep.loss_negative)
    ids = np.array(sweep.pairs, dtype=object)
    return pd.concat(
        [
            _rows(whose, ids, np.full(len(ids), side), tokens, losses[rows], multipliers)
            for side, tokens, losses in sides
        ]
    )


def _of_sampled(
    model: ms.Model, intervention: ms.Intervention, pairs: ms.Pairs, sweep: Sweep, multipliers: Float[ndarray, " k"],
    concept: str, seed: int,
) -> pd.DataFrame:  # fmt: skip
    prompt_format = sweep.key.prompt_format
    sampled = sample(model, pairs, prompt_format, seed)
    found = sweep_encoded(
        model, intervention, [text for text, _ in sampled], multipliers, positions=sweep.key.positions,
        prompt_format=prompt_format,
    )  # fmt: skip
    found.check_finite()
    sides = np.zeros(len(sampled), dtype=int)
    if concept:
        decode, check = model.require_tokenizer().decode, guestbook.language_of(concept).check
        values = [
            check(query, str(decode(list(text.positive[text.begin :])))).values[concept] for text, query in sampled
        ]
        sides = np.sign(values).astype(int)
    ids = np.array([text.id for text, _ in sampled], dtype=object)
    return _rows(SAMPLED, ids, sides, found.tokens_positive, found.loss_positive, multipliers)


def sample(model: ms.Model, pairs: ms.Pairs, prompt_format: str, seed: int) -> list[tuple[EncodedPair, str]]:
    """`N_EACH` answers of the model to each pair's query, in the form that an engine reads, each with its query. Where the two
    completions have different queries, the answers alternate between them."""
    lengths = {pair.id: max(pair.counts) for pair in ms.encode_pairs(model, pairs, prompt_format)}
    longest = max(lengths.values())
    asked = [(own, pair.queries[turn % 2]) for own, pair in zip(lengths, pairs, strict=True) for turn in range(N_EACH)]
    found = []
    for begin in range(0, len(asked), AT_ONCE):
        some = asked[begin : begin + AT_ONCE]
        queries = [query for _, query in some]
        drawn = generate_tokens(model, queries, prompt_format=prompt_format, max_new_tokens=longest, seed=seed + begin)
        for (own, query), ids in zip(some, drawn, strict=True):
            kept = ids if len(ids) < longest else ids[: lengths[own]]
            prompt = encode_prompt(model, query, prompt_format)
            found.append((_as_pair(own, prompt, kept, model.d_vocab), query))
    return found


def _as_pair(name: str, prompt: list[int], completion: list[int], d_vocab: int) -> EncodedPair:
    """A single text as an engine reads it: a pair whose other text differs in the last token alone, which costs nothing."""
    whole = (*prompt, *completion)
    return EncodedPair(name, len(prompt), whole, (*whole[:-1], (whole[-1] + 1) % d_vocab))


def _rows(
    whose: str, ids: ndarray, sides: Int[ndarray, " texts"], tokens: Int[ndarray, " texts"],
    losses: Float[ndarray, "k texts"], multipliers: Float[ndarray, " k"],
) -> pd.DataFrame:  # fmt: skip
    about = pd.DataFrame({"pair": ids, "completion": np.arange(len(ids)), "side": sides, "tokens": tokens})
    rows = pd.concat([about] * len(multipliers), ignore_index=True)
    return rows.assign(whose=whose, multiplier=np.repeat(multipliers, len(ids)), loss=losses.ravel())


def sentence(sweep: Sweep) -> str:
    """The share of the model's probability that a pair's two completions hold."""
    held = log_useful_probability(sweep.loss_positive, sweep.loss_negative)
    lower, median, upper = np.quantile(held[sweep.zero], (0.25, 0.5, 0.75))
    low, high = np.exp(np.interp(useful_range(sweep), sweep.multipliers, np.median(held, axis=1)))
    return (
        f"Unsteered, the two completions of a pair hold {np.exp(median):.2g} of the model's probability (the median of "
        f"{len(sweep.pairs)} pairs, {median:.1f} nats; quartiles {np.exp(lower):.2g} and {np.exp(upper):.2g}); at the ends of "
        f"the useful range by log-odds {low:.2g} (m < 0) and {high:.2g} (m > 0)."
    )
