"""A second utility, which does not come from the pairs.

A pair's utility is dominated by the log-likelihood of its likelier text, so a steer towards the concept can move it along with
preference. A second measure does not depend on the pairs. On the guestbook it is the probability mass on grammatical next words,
whatever side of a concept they take. On other models it is the likelihood of neutral text, or of the pairs' queries if the model
cannot read neutral text. Both are mean logarithms per token, in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.guestbook.next_words import next_words
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.models.model import TokenBatch, pad_batch
from mechsteer.models.prompts import EncodedPair, encode_prompt
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, resampled_means

from .neutral import log_probabilities, neutral_texts, readable

N_TEXTS = 16
VALID, PAGES = "mass on valid next words", "likelihood of its language's pages"
NEUTRAL, OWN = "likelihood of neutral text", "likelihood of the pairs' own text"
"""The kinds of second utility."""


@dataclass(frozen=True, eq=False)
class ValidNext:
    """Texts of the guestbook, with the tokens that would be valid at each position."""

    model: ms.Model
    batch: TokenBatch
    right: Bool[Tensor, "rows next d_vocab"]

    @classmethod
    def of(cls, model: ms.Model, texts: Sequence[guestbook.Text]) -> "ValidNext":
        tokenizer = model.require_tokenizer()
        begins = [len(encode_prompt(model, text.query)) for text in texts]
        rows = [(encode_prompt(model, str(text)), begin) for text, begin in zip(texts, begins, strict=True)]
        batch = pad_batch(rows, model.padding_token)
        right = torch.zeros(*batch.tokens[:, 1:].shape, model.d_vocab, dtype=torch.bool)
        for row, (text, begin) in enumerate(zip(texts, begins, strict=True)):
            # One token per word. The last one ends the text, so nothing follows it.
            for place, words in enumerate(next_words(text.query, text.answer.split())[:-1]):
                right[row, begin + place - 1, tokenizer.convert_tokens_to_ids(sorted(words))] = True
        return cls(model, batch.to(model.device), right.to(model.device))

    def mass(self) -> Float[ndarray, " texts"]:
        """Mean log-probability of the valid tokens together (nats per token), under the current steer."""
        asked = self.batch.completion_mask[:, 1:]
        mass = log_probabilities(self.model, self.batch)[:, :-1].masked_fill(~self.right, -torch.inf).logsumexp(dim=-1)
        return (mass.masked_fill(~asked, 0.0).sum(dim=1) / asked.sum(dim=1)).cpu().numpy()


def likelihoods(
    model: ms.Model, steer: ms.Intervention, multipliers: Float[ndarray, " m"], texts: Sequence[tuple[int, ...]]
) -> Float[ndarray, "m texts"]:
    """Mean log-likelihood of each text without its first token (nats per token). A sweep measures it, so each text is made a
    pair whose other side is one dummy token."""
    pairs = [EncodedPair(str(n), 1, ids, (ids[0], (ids[1] + 1) % model.d_vocab)) for n, ids in enumerate(texts)]
    sweep = sweep_encoded(model, steer, pairs, multipliers, positions=steer.origin.positions)
    return -sweep.loss_positive / [len(ids) - 1 for ids in texts]


def under(
    model: ms.Model, steer: ms.Intervention, multipliers: Float[ndarray, " m"], queries: Sequence[str], *, concept: str,
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    """A row for each multiplier and for zero: `second_utility` (nats per token), and by how much it is below that at zero
    (`second_lost`), with an interval of 95 % over texts.

    `concept` says which guestbook this is, if any. Valid next words are known only for the plain one. A model that can read
    none of our neutral texts is measured on the queries instead, each once.
    """
    swept = np.union1d(multipliers, [0.0])
    if concept in guestbook.CONCEPTS:
        valid, read_from, found = ValidNext.of(model, guestbook.sample(N_TEXTS, seed)), VALID, []
        for m in swept:
            with ms.steer(model, steer, float(m)):
                found.append(valid.mass())
        values = np.array(found)
    else:
        texts = (
            [str(text) for text in guestbook.language_of(concept).sample(N_TEXTS, seed)]
            if concept
            else neutral_texts(N_TEXTS)
        )
        read_from = PAGES if concept else NEUTRAL
        if not (known := readable(model, texts)):
            known, read_from = readable(model, list(dict.fromkeys(queries))[:N_TEXTS]), OWN
        values = likelihoods(model, steer, swept, known)
    lost = values[np.searchsorted(swept, 0.0)] - values
    intervals = [percentile_interval(draws) for draws in resampled_means(lost, N_RESAMPLES, seed).T]
    return pd.DataFrame(
        {
            "multiplier": swept,
            "second_utility": values.mean(axis=1),
            "second_lost": lost.mean(axis=1),
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
            "read_from": read_from,
            "n_texts": values.shape[1],
        }
    )


def sentence(table: pd.DataFrame, steer: str, ends: tuple[float, float]) -> str:
    """The loss at the ends of the useful range, from the steer's rows of a table."""
    at = [np.interp(ends, table.multiplier, table[column]) for column in ("second_lost", "low", "high")]
    low, high = (f"{estimate:.3f} [{least:.3f}, {most:.3f}]" for estimate, least, most in zip(*at, strict=True))
    return (
        f"At the ends of the useful range by log-odds, {steer} loses {low} (m < 0) and {high} (m > 0) nats per token of a "
        f"second utility, the {table.read_from.iloc[0]}."
    )
