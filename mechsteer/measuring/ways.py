"""Ways to write: with a cache or without, prompts side by side or one at a time.

The fastest that gives the numbers of plain forwards serves.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ..engine.rounding import differ
from ..errors import InputError
from ..interventions.steering import telling_lengths
from ..models.model import Model, TokenBatch, pad_batch
from ..models.others import unhooked
from ..models.switches import passed
from ..models.threads import on_idle_cores

STEPS = 4
"""Tokens that a trial writes."""

_log = logging.getLogger("mechsteer")


@dataclass(frozen=True)
class Way:
    """How a model is asked to go on."""

    with_cache: bool = True
    side_by_side: bool = True

    def write(
        self,
        model: Model,
        batch: TokenBatch,
        settings: GenerationConfig,
        chooser: LogitsProcessor | None = None,
        ends: Sequence[StoppingCriteria] = (),
    ) -> list[Any]:
        """What Hugging Face's `generate` gives, once for all rows or for each; `model.batch` says to `chooser` and `ends` which
        rows are read."""
        parts = [batch] if self.side_by_side else [batch.alone(row) for row in range(len(batch.tokens))]
        written = []
        for part in parts:
            with torch.no_grad(), on_idle_cores(), model.reading(part), _settings_of_our_own(model):
                written.append(
                    cast(Any, model.hf).generate(
                        input_ids=part.tokens, attention_mask=part.attention_mask.long(), generation_config=settings,
                        use_cache=self.with_cache, logits_processor=LogitsProcessorList([chooser or _Finite(model)]),
                        stopping_criteria=StoppingCriteriaList(ends), return_dict_in_generate=True,
                    )
                )  # fmt: skip
        return written


WAYS = {
    Way(): "",
    Way(side_by_side=False): "a prompt at a time: beside a longer one, what it says of a prompt changes",
    Way(with_cache=False): "without a cache, by which what it says of a text changes",
    Way(
        with_cache=False, side_by_side=False
    ): "a prompt at a time and without a cache, by which what it says of a text changes",
}
"""From the fastest to the one that is always right; of one prompt alone, without a cache."""

# By model, the way that a trial chose for one prompt or several, and the switches that they pass; and what has been said.
_TRIED: WeakKeyDictionary[Model, dict[tuple[bool, frozenset[int]], Way]] = WeakKeyDictionary()
_SAID: WeakKeyDictionary[Model, set[Way]] = WeakKeyDictionary()


def way_for(model: Model, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Way:
    """By a trial on the model without a steer; a line in the log says why it is not the fastest, once for each model."""
    longest = max(map(len, prompts))
    lengths = passed(model, longest + max_new_tokens, beyond=8)
    asked = (len(prompts) > 1, lengths)
    tried = _TRIED.setdefault(model, {})
    if asked not in tried:
        # Up to the switch, and over it while writing; and all of it in the prompt.
        trials = {6} | {length - STEPS // 2 for length in lengths} | {longest for length in lengths if length < longest}
        with unhooked(model):
            tried[asked] = _try(model, sorted(trials), several=len(prompts) > 1)
    way = tried[asked]
    if WAYS[way] and way not in _SAID.setdefault(model, set()):
        _SAID[model].add(way)
        _log.warning("%s writes %s.", model.name, WAYS[way])
    return way


def _try(model: Model, lengths: Sequence[int], several: bool) -> Way:
    """The first way that does for prompts of all these lengths, with one of half the length beside each if there are several."""
    ways = [way for way in WAYS if several or way.side_by_side]
    for length in lengths:
        trial = _Trial.of(model, [length, max(1, length // 2)][: 1 + several])
        # The last way is what the others are held against.
        while len(ways) > 1 and trial.fails(ways[0]):
            ways.pop(0)
    return ways[0]


@dataclass(frozen=True, eq=False)
class _Trial:
    """Random prompts, and random tokens that are written after them whatever the model says."""

    model: Model
    batch: TokenBatch
    forced: Int[Tensor, "rows steps"]

    @classmethod
    def of(cls, model: Model, lengths: Sequence[int]) -> "_Trial":
        draw = np.random.default_rng(0)
        rows = [draw.integers(model.d_vocab, size=length).tolist() for length in lengths]
        batch = pad_batch([(row, len(row)) for row in rows], model.padding_token, side="left").to(model.device)
        forced = torch.from_numpy(draw.integers(model.d_vocab, size=(len(rows), STEPS))).to(model.device)
        return cls(model, batch, forced)

    def fails(self, way: Way) -> bool:
        """Whether the way gives other probabilities than plain forwards."""
        settings = GenerationConfig(
            max_new_tokens=STEPS, do_sample=False, pad_token_id=self.model.padding_token, output_logits=True
        )
        lengths: list[int] = []
        try:
            with telling_lengths(self.model, lengths):
                written = way.write(self.model, self.batch, settings, _Forced(self.model, self.forced))
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError):
            return True
        widths = [self.batch.tokens.shape[1]] if way.side_by_side else self.batch.attention_mask.sum(dim=1).tolist()
        # A steer must know where in its text each token stands.
        if lengths != [width + step for width in widths for step in range(STEPS)]:
            return True
        found = torch.cat([torch.stack(part.logits, dim=1) for part in written])
        return differ(self.model, _told(found), self.expected, self._plain)

    @cached_property
    def expected(self) -> Float[ndarray, "rows steps d_vocab"]:
        return self._plain()

    @torch.no_grad()
    def _plain(self) -> Float[ndarray, "rows steps d_vocab"]:
        """By a forward for each row and step, of all that it has read, alone."""
        found = []
        for row in range(len(self.forced)):
            prompt = self.batch.alone(row).tokens
            for step in range(STEPS):
                tokens = torch.cat([prompt, self.forced[row, None, :step]], dim=1)
                whole = torch.ones_like(tokens, dtype=torch.bool)
                found.append(self.model.logits(TokenBatch(tokens, whole, ~whole))[0, -1])
        return _told(torch.stack(found).unflatten(0, self.forced.shape))


class _Forced(LogitsProcessor):
    """Only these tokens may be written."""

    def __init__(self, model: Model, tokens: Int[Tensor, "rows steps"]):
        self.model, self.tokens = model, tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        batch = self.model.batch
        assert batch is not None
        told = self.tokens if batch.row is None else self.tokens[batch.row, None]
        told = told[:, input_ids.shape[1] - batch.tokens.shape[1], None]
        return torch.full_like(scores, -torch.inf).scatter(1, told.to(scores.device), 0.0)


class _Finite(LogitsProcessor):
    """Nothing is written where the model says nothing."""

    def __init__(self, model: Model):
        self.model = model

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not are_said(scores):
            raise says_nothing(self.model)
        return scores


def are_said(logits: Float[Tensor, "*rows d_vocab"]) -> bool:
    """Whether a token can be chosen by them: none is NaN or plus infinity, and not all are impossible."""
    return bool(logits.amax(dim=-1).isfinite().all())


def says_nothing(model: Model) -> InputError:
    """The sentence on logits by which no token can be chosen."""
    return InputError(
        f"The logits of {model.name} in {str(model.dtype)[6:]} are NaN or infinite. Steer by a smaller multiplier, or try "
        "another dtype, such as float32."
    )


def _told(logits: Float[Tensor, "rows steps d_vocab"]) -> Float[ndarray, "rows steps d_vocab"]:
    """What they say of each token, in nats."""
    return logits.double().log_softmax(-1).cpu().numpy()


@contextmanager
def _settings_of_our_own(model: Model) -> Iterator[None]:
    """Without the checkpoint's: its penalties and cut-offs fill what a call leaves open, and would hide the steer."""
    own, model.hf.generation_config = model.hf.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.hf.generation_config = own
