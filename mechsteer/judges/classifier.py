"""A classifier: sentence embeddings and logistic regression, learned from the texts of both sides that teach the steer.

What it is worth is known before anything is judged: the AUROC of pairs that it has not seen. It knows natural texts alone, so
that of what a strong steer writes it may say anything; whether the text holds together is for another judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError
from ..paths import resolved
from .answers import Answers
from .base import Judge, Judgement, Subject, Unreachable, Written
from .request import Request
from .scale import CONCEPT, Aspect

NAME = "classifier"
ORDER = 30
TITLE = "logistic regression on sentence embeddings"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"

FOLDS = 5
LEAST_PAIRS = 2 * FOLDS
BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Classifier(Judge):
    """The regression, and how well it tells unseen pairs' sides apart."""

    model: str
    regression: Any
    auroc: float
    n_texts: int

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return (Aspect("concept", CONCEPT),)

    @classmethod
    def open(cls, request: Request, subject: Subject, answers: Answers) -> "Classifier":
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score
        from sklearn.model_selection import GroupKFold, cross_val_predict

        assert subject.learning is not None
        pairs = list(subject.learning.distinct())
        if len(pairs) < LEAST_PAIRS:
            raise InputError(
                f"{len(pairs)} pairs teach the classifier, and {LEAST_PAIRS} are needed. Choose another judge."
            )
        x = embed(request.model, [pair.positive.strip() for pair in pairs] + [pair.negative.strip() for pair in pairs])
        y = np.repeat([1, 0], len(pairs))
        # What is learned from one text of a pair is no news of the other.
        folds = GroupKFold(FOLDS).split(x, y, np.tile(np.arange(len(pairs)), 2))
        regression = LogisticRegression(max_iter=1000)
        unseen = np.asarray(cross_val_predict(regression, x, y, cv=list(folds), method="predict_proba"))[:, 1]
        return cls(request.model, regression.fit(x, y), float(roc_auc_score(y, unseen)), len(y))

    @property
    def about(self) -> str:
        return f"held-out AUROC {self.auroc:.3f} on {self.n_texts} texts that teach the steer"

    def judge(self, texts: Sequence[Written]) -> Mapping[str, Sequence[Judgement]]:
        found = self.regression.predict_proba(embed(self.model, [item.text.strip() for item in texts]))[:, 1]
        return {"concept": [Judgement(float(score)) for score in found]}


def embed(model: str, texts: Sequence[str]) -> Float[ndarray, "texts d"]:
    """Mean-pooled states of the last layer, of length one, as sentence-transformers has them; equal texts are read once."""
    import torch

    tokenizer, encoder = _opened(model)
    different = sorted(set(texts), key=len)
    rows: dict[str, ndarray] = {}
    for begin in range(0, len(different), BATCH_SIZE):
        some = different[begin : begin + BATCH_SIZE]
        batch = tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            states = encoder(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None]
        pooled = torch.nn.functional.normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
        rows.update(zip(some, pooled.double().numpy(), strict=True))
    return np.array([rows[text] for text in texts])


@lru_cache(maxsize=1)
def _opened(model: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        return tuple(kind.from_pretrained(resolved(model)) for kind in (AutoTokenizer, AutoModel))  # type: ignore[return-value]
    except (OSError, ValueError, ImportError) as error:
        raise Unreachable(
            f"The embeddings' model {model!r} cannot be opened. Name a folder that holds one: classifier=FOLDER."
        ) from OSError(str(error))
