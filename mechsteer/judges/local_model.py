"""A language model on this machine, read by probabilities: the score is the expectation over the answers that are allowed.

One forward for each question, and no text to parse: the model is given the beginning of its answer, and asked which rating comes
next. An answer's probability is that of all single tokens that read like it. Where too little of it lies on allowed answers, the
model has not understood, and there is no score. A scale with more steps than the tokenizer has single tokens for is asked from 0
to 9.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ..paths import resolved
from .asking import Asked, Question
from .base import Judgement
from .scale import DIGITS, Aspect

if TYPE_CHECKING:
    from ..models.model import Model

NAME = "local"
ORDER = 40
TITLE = "a language model on this machine, by its probabilities"
ASKED = True

LEAST_MASS = 0.25
"""Of the probability that must lie on allowed answers (as in persona vectors, arXiv 2507.21509)."""
BEGIN = "Rating: [["
BATCH_SIZE = 8


@dataclass(frozen=True, eq=False)
class LocalModel(Asked):
    """The model of `request`, in its own chat template if it has one."""

    @property
    def model(self) -> "Model":
        return _opened(self.request.model)

    @property
    def settings(self) -> dict[str, object]:
        return {"begin": BEGIN}

    def form(self, aspect: Aspect) -> str:
        return f"Answer with a rating, {self._asked(aspect).allowed}, in this form:\n{BEGIN}rating]]"

    def ask(self, questions: Sequence[Question], keep: Callable[[str, str], None]) -> Mapping[str, str]:
        import torch

        from ..models.model import pad_batch
        from ..models.prompts import encode_prompt
        from ..progress import progress_bar

        model = self.model
        tokenizer = model.require_tokenizer()
        prompt_format = "chat" if tokenizer.chat_template else "cued"
        begin = tokenizer(BEGIN, add_special_tokens=False)["input_ids"]
        rows = [[*encode_prompt(model, question.prompt, prompt_format), *begin] for question in questions]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        with progress_bar("Judging", len(rows)) as bar:
            for first in range(0, len(rows), BATCH_SIZE):
                some = order[first : first + BATCH_SIZE]
                batch = pad_batch([(rows[row], len(rows[row])) for row in some], model.padding_token)
                last = torch.zeros_like(batch.attention_mask)
                last[range(len(some)), [len(rows[row]) - 1 for row in some]] = True
                with torch.no_grad():
                    of_next = model.logits(batch, at=last).double().softmax(dim=-1)
                for row, probabilities in zip(some, of_next, strict=True):
                    ids = _token_ids(self.request.model, tuple(self._asked(questions[row].aspect).answers))
                    found = {answer: float(probabilities[own].sum()) for answer, own in ids.items()}
                    keep(questions[row].key, json.dumps(found))
                    bar.advance()
        return {}

    def read(self, aspect: Aspect, raw: str) -> Judgement:
        asked, found = self._asked(aspect), json.loads(raw)
        mass = sum(found.values())
        if mass < LEAST_MASS:
            return Judgement(raw=raw, mass=mass, failed="too little probability on allowed answers")
        mean = sum(asked.answers[answer] * p for answer, p in found.items()) / mass
        share = (mean - asked.low) / (asked.high - asked.low)
        return Judgement(aspect.low + share * (aspect.high - aspect.low), raw, mass)

    def _asked(self, aspect: Aspect) -> Aspect:
        """The aspect as this tokenizer can be asked about it."""
        if all(_token_ids(self.request.model, tuple(aspect.answers)).values()):
            return aspect
        low, high = DIGITS
        return replace(aspect, low=float(low), high=float(high), words=())


@lru_cache(maxsize=1)
def _opened(model: str) -> Any:
    import mechsteer as ms

    return ms.load_model(resolved(model))


@cache
def _token_ids(model: str, answers: tuple[str, ...]) -> dict[str, list[int]]:
    """Every single token that reads like an answer, with a space or without, in upper or lower case."""
    found: dict[str, list[int]] = {answer: [] for answer in answers}
    for token, said in enumerate(_said(model)):
        if said in found:
            found[said].append(token)
    return found


@cache
def _said(model: str) -> list[str]:
    opened = _opened(model)
    tokenizer = opened.require_tokenizer()
    return [text.strip().lower() for text in tokenizer.batch_decode([[token] for token in range(len(tokenizer))])]
