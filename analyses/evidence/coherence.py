"""Coherence of texts written under a steer, and the steer's effect on neutral text and on the output distribution.

The loss on fixed text cannot separate damage from a change of content. So the steered model writes texts, all of one length and
temperature, and these are judged without the steer: on the guestbook by its exact checker, elsewhere by the unsteered model's
loss per token against that on its own unsteered texts. A direction's mean deviation counts by its size, for gibberish is unlikely
and repetition too likely. Texts of one direction that deviate opposite ways cancel, so the share of repetition is kept beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.models.model import TokenBatch, pad_batch
from mechsteer.models.prompts import encode_prompt

from .neutral import departure, neutral_texts, predictions, readable

N_QUERIES, N_NEUTRAL, MAX_NEW_TOKENS = 16, 12, 32
"""Queries answered under each direction, neutral texts, and tokens of an answer."""
TEXTS = 4
"""Read together when they are judged."""
GRAM = 4
TINY = 1 / 32
"""Fraction of the longest length, small enough for the divergence of the output to equal its Fisher form."""


@dataclass(frozen=True, eq=False)
class Coherence:
    """Queries and neutral texts, with their unsteered baselines."""

    model: ms.Model
    queries: tuple[str, ...]
    prompt_format: str
    concept: str
    seed: int
    neutral: TokenBatch
    plain: Float[Tensor, "n d_vocab"]
    """Log-probabilities of the neutral texts' tokens, and of all others in their places."""
    usual: Float[ndarray, " queries"]
    """Baseline for the unsteered answer to each query: its loss per token (nats), or on the guestbook whether it is invalid."""

    @classmethod
    def of(cls, model: ms.Model, queries: Sequence[str], prompt_format: str, concept: str, seed: int) -> "Coherence":
        """`concept` says that this is a guestbook, whose checker is exact. A model that can read none of our neutral texts is
        measured on the queries instead."""
        chosen = tuple(dict.fromkeys(queries))
        texts = _of_the_language(concept, seed) if concept else neutral_texts(N_NEUTRAL)
        rows = readable(model, texts) or readable(model, chosen[:N_NEUTRAL])
        batch = pad_batch([(ids, 1) for ids in rows], model.padding_token).to(model.device)
        plain = predictions(model, batch).double().log_softmax(dim=-1)
        found = cls(model, chosen, prompt_format, concept, seed, batch, plain, np.zeros(len(chosen)))
        return replace(found, usual=found._judged(found._written(chosen), chosen))

    def of_steer(self, steer: ms.SteeringVector, lengths: Float[ndarray, " lengths"]) -> dict[str, ndarray]:
        """Columns, a value for each length."""
        texts, repeated = self._departures(steer, lengths, N_QUERIES)
        off, error = self._mean(texts)
        rows = [self._neutral_under(steer, length) for length in lengths]
        tiny = TINY * lengths[-1]
        fisher = self._neutral_under(steer, tiny)[1] / tiny**2
        return {
            "incoherence": off,
            "incoherence_error": error,
            # Of every other query, for how far directions' incoherence is luck.
            **{f"incoherence {half}": self._mean(texts[:, half::2])[0] for half in (0, 1)},
            "repetition": repeated.mean(axis=1),
            "neutral_lost": np.array([row[0] for row in rows]),
            "divergence": np.array([row[1] for row in rows]),
            "fisher": fisher * lengths**2,
        }

    def written_under(
        self, steer: ms.SteeringVector, lengths: Float[ndarray, " lengths"], n: int
    ) -> tuple[Float[ndarray, " lengths"], Float[ndarray, " lengths"], Float[ndarray, " lengths"]]:
        """Incoherence of answers to the first n queries, its standard error, and the share of repetition."""
        texts, repeated = self._departures(steer, lengths, n)
        return *self._mean(texts), repeated.mean(axis=1)

    def _departures(
        self, steer: ms.SteeringVector, lengths: Float[ndarray, " lengths"], n: int
    ) -> tuple[Float[ndarray, "lengths n"], Float[ndarray, "lengths n"]]:
        """By how much each answer departs from the unsteered one, and its share of repetition."""
        n = self.n_of(n)
        many, queries = np.repeat(lengths, n), self.queries[:n] * len(lengths)
        with ms.steer(self.model, steer, torch.tensor(many, dtype=torch.float32)):
            texts = self._written(queries)
        off = self._judged(texts, queries).reshape(len(lengths), n) - self.usual[:n]
        return off, np.array([_repetition(text.split()) for text in texts]).reshape(len(lengths), n)

    def _mean(self, off: Float[ndarray, "lengths n"]) -> tuple[Float[ndarray, " lengths"], Float[ndarray, " lengths"]]:
        """Incoherence, from departures of single texts, and its standard error; NaN where there are too few."""
        n, none = off.shape[1], np.full(len(off), np.nan)
        mean = off.mean(axis=1) if n else none
        # A single answer has no standard error.
        return mean if self.concept else np.abs(mean), off.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else none

    def n_of(self, n: int) -> int:
        """n, or as many queries as there are."""
        return min(n, len(self.queries))

    @property
    def unit(self) -> str:
        """The unit of incoherence."""
        return "share" if self.concept else "nats per token"

    def _written(self, queries: Sequence[str]) -> list[str]:
        return ms.generate(
            self.model, queries, prompt_format=self.prompt_format, temperature=1.0, seed=self.seed,
            max_new_tokens=MAX_NEW_TOKENS, keep_special_tokens=bool(self.concept),
        )  # fmt: skip

    def _judged(self, texts: Sequence[str], queries: Sequence[str]) -> Float[ndarray, " texts"]:
        """For each text: whether it is invalid, or its unsteered loss per token (nats)."""
        if self.concept:
            check = guestbook.language_of(self.concept).check
            checks = [check(query, text) for query, text in zip(queries, texts, strict=True)]
            return np.array([not check.valid for check in checks], dtype=np.float64)
        rows = []
        for query, text in zip(queries, texts, strict=True):
            begun = encode_prompt(self.model, query, self.prompt_format)
            more = self.model.require_tokenizer()(text, add_special_tokens=False)["input_ids"]
            rows.append(([*begun, *(more or [self.model.padding_token])], len(begun)))
        found = []
        for first in range(0, len(rows), TEXTS):
            batch = pad_batch(rows[first : first + TEXTS], self.model.padding_token)
            with torch.no_grad():
                found.append(torch.divide(*ms.completion_losses(self.model, batch)))
        return torch.cat(found).cpu().numpy()

    def _neutral_under(self, steer: ms.SteeringVector, length: float) -> tuple[float, float]:
        """The rise in neutral text's loss, and the divergence of the output from the unsteered one (both in nats per token)."""
        with ms.steer(self.model, steer, float(length)):
            now = predictions(self.model, self.neutral)
        return departure(self.plain, now, self.neutral)


def _of_the_language(concept: str, seed: int) -> list[str]:
    """Texts in the language of the guestbook that has the concept."""
    return [str(text) for text in guestbook.language_of(concept).sample(N_NEUTRAL, seed)]


def _repetition(words: Sequence[str]) -> float:
    """Share of four-word runs that repeat an earlier one."""
    runs = [tuple(words[begin : begin + GRAM]) for begin in range(len(words) - GRAM + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
