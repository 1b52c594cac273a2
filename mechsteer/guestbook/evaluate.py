"""How well a model speaks a language of the guestbook: `python -m mechsteer.guestbook.evaluate`, `--language guestbook-rich`."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import torch
import typer
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from ..statistics.intervals import ConfidenceInterval, bootstrap_interval
from . import LANGUAGES, MODEL_FOLDER, PLAIN, Check, Language, Text, answer_entropy, revealed
from .words import EOS

N_NEW_TOKENS = 48  # half as many again as the longest answer
BATCH_SIZE = 200


@dataclass(frozen=True)
class Figure:
    """A value, its interval where it is an estimate, and what is asked of it."""

    name: str
    value: float
    interval: ConfidenceInterval | None
    target: str = ""


PARTS = ("grammatical", "on_topic", "fitting", "agreeing", "ended", "valid")


def evaluate(
    folder: Path = MODEL_FOLDER, n_texts: int = 4000, seed: int = 0, language: Language = PLAIN
) -> list[Figure]:
    """Judge answers that a model samples at temperature one, and the probabilities it gives to the language's own."""
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = language.sample(n_texts, seed)
    queries = [text.query for text in texts]
    answers = generate(model, tokenizer, queries, seed)
    return [
        *(sample_figures(queries, answers) if language is PLAIN else comparison_figures(language, texts, answers)),
        *divergence_figures(model, tokenizer, texts, language),
        *preference_figures(model, tokenizer, seed, language),
    ]


def sample_figures(queries: Sequence[str], answers: Sequence[str]) -> list[Figure]:
    """The shares of sampled answers that are right in each part, and that keep each concept on one side."""
    checks = [PLAIN.check(query, answer) for query, answer in zip(queries, answers, strict=True)]
    known = [revealed(query) for query in queries]
    target = "at least 0.97"
    figures = [_share(part.replace("_", " "), [getattr(judged, part) for judged in checks], target) for part in PARTS]
    for concept in PLAIN.concepts:
        values = [judged.values[concept] for judged in checks]
        kept = [
            abs(value) == 1 and told.get(concept, value) == value for value, told in zip(values, known, strict=True)
        ]
        figures.append(_share(f"consistent {concept}", kept, target))
    said = [isfinite(log_probability) for log_probability in true_log_probabilities(queries, answers)]
    return [*figures, _share("in the language", said)]


def comparison_figures(language: Language, texts: Sequence[Text], answers: Sequence[str]) -> list[Figure]:
    """What the checker finds in sampled answers, beside the same of the language's own: mistakes are a part of it."""
    own = [language.check(text.query, text.answer) for text in texts]
    found = [language.check(text.query, answer) for text, answer in zip(texts, answers, strict=True)]
    figures = []
    for part in PARTS:
        shares = [[getattr(judged, part) for judged in checks] for checks in (own, found)]
        figures.append(_share(part.replace("_", " "), shares[1], f"{np.mean(shares[0]):.3f} in the language"))
    for concept in language.concepts:
        side, valid = (np.array([judged.values[concept] for judged in checks]) for checks in (own, found))
        figures.append(_mean(f"{concept}: mean value", valid, target=f"{side.mean():.3f} in the language"))
    told = np.array([_goes_with_validity(language, checks) for checks in (own, found)])
    for concept, (planted, learnt) in zip(language.concepts, told.T, strict=True):
        figures.append(Figure(f"{concept}: correlation of value and validity", learnt, None, f"{planted:.3f}"))
    said = true_log_probabilities([text.query for text in texts], answers, language)
    return [*figures, _share("in the language", list(np.isfinite(said)))]


def divergence_figures(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[Text], language: Language = PLAIN
) -> list[Figure]:
    """The language's entropy, and the model's divergence from it, KL(language || model), on answers of the language."""
    queries, answers = [text.query for text in texts], [text.answer for text in texts]
    true = true_log_probabilities(queries, answers, language)
    excess = true - answer_log_probabilities(model, tokenizer, queries, answers)
    n_tokens = np.array([len(answer.split()) for answer in answers], float)
    entropy = "entropy of the language, nats/token"
    return [
        Figure(entropy, answer_entropy(), None) if language is PLAIN else _mean(entropy, -true, n_tokens),
        _mean("divergence of the model, nats/token", excess, n_tokens, "at most 0.03"),
    ]


def preference_figures(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int, language: Language = PLAIN
) -> list[Figure]:
    """Over the pairs of each concept: the language's preference, the model's, and their distance on a pair, in nats."""
    figures = []
    for concept in language.concepts:
        items = language.pairs(concept, seed=seed)
        queries = [pair.query for pair in items]
        sides = [pair.positive for pair in items], [pair.negative for pair in items]
        true = np.subtract(*(true_log_probabilities(queries, side, language) for side in sides))
        found = np.subtract(*(answer_log_probabilities(model, tokenizer, queries, side) for side in sides))
        figures += [
            _mean(f"{concept}: mean preference, language", true),
            _mean(f"{concept}: mean preference, model", found),
            _mean(f"{concept}: mean distance of the two", abs(found - true)),
        ]
    return figures


def true_log_probabilities(
    queries: Sequence[str], answers: Sequence[str], language: Language = PLAIN
) -> Float[ndarray, " answers"]:
    """log P(answer | query) of the language."""
    return np.array([language.log_probability(answer, query) for query, answer in zip(queries, answers, strict=True)])


@torch.inference_mode()
def generate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, queries: Sequence[str], seed: int
) -> list[str]:
    """Answers sampled at temperature one, up to their end token."""
    torch.manual_seed(seed)
    answers = []
    for start in range(0, len(queries), BATCH_SIZE):
        batch = list(queries[start : start + BATCH_SIZE])
        encoded = tokenizer(batch, padding=True, padding_side="left", return_tensors="pt")
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": N_NEW_TOKENS}
        tokens = model.generate(**encoded, **sampling)  # pyright: ignore[reportAttributeAccessIssue]
        for row in tokenizer.batch_decode(tokens[:, encoded.input_ids.shape[1] :]):
            answer, end, _ = row.partition(EOS)
            answers.append(f" {answer}{end}")
    return answers


@torch.inference_mode()
def answer_log_probabilities(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, queries: Sequence[str], answers: Sequence[str]
) -> Float[ndarray, " answers"]:
    """log P(answer | query) of the model, summed over the answer's tokens."""
    totals = []
    for start in range(0, len(queries), BATCH_SIZE):
        batch = list(zip(queries, answers, strict=True))[start : start + BATCH_SIZE]
        encoded = tokenizer([query + answer for query, answer in batch], padding=True, return_tensors="pt")
        tokens = encoded.input_ids[:, 1:]
        log_probabilities = model(**encoded).logits[:, :-1].log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
        # Without BOS, a query of n words has the tokens 0 to n - 1.
        n_before = torch.tensor([[len(query.split())] for query, _ in batch])
        counted = encoded.attention_mask[:, 1:].bool() & (torch.arange(tokens.shape[1]) >= n_before)
        totals.append((log_probabilities.double() * counted).sum(1).numpy())
    return np.concatenate(totals)


def _goes_with_validity(language: Language, checks: Sequence[Check]) -> list[float]:
    """For each concept, the correlation of its value with validity."""
    valid = [judged.valid for judged in checks]
    return [float(np.corrcoef([judged.values[c] for judged in checks], valid)[0, 1]) for c in language.concepts]


def _share(name: str, found: Sequence[bool], target: str = "") -> Figure:
    test = binomtest(sum(found), len(found))
    return Figure(name, test.statistic, ConfidenceInterval(*test.proportion_ci(method="wilson")), target)


def _mean(
    name: str, totals: Float[ndarray, " texts"], counts: Float[ndarray, " texts"] | None = None, target: str = ""
) -> Figure:
    """A ratio of sums over texts, with a bootstrap over them."""
    counts = np.ones(len(totals)) if counts is None else counts
    interval = bootstrap_interval(lambda total, count: total.sum() / count.sum(), totals, counts)
    return Figure(name, float(totals.sum() / counts.sum()), interval, target)


def show(figures: Sequence[Figure]) -> None:
    """Print figures as a table."""
    table = Table("figure", "value", "95 % interval", "asked for")
    for figure in figures:
        interval = f"{figure.interval.low:.4f} to {figure.interval.high:.4f}" if figure.interval else "exact"
        table.add_row(figure.name, f"{figure.value:.4f}", interval, figure.target)
    Console().print(table)


def main(language: str = PLAIN.name, model: Path | None = None, n_texts: int = 4000, seed: int = 0) -> None:
    """Measure the model in a folder, by default the one that comes with the package."""
    chosen = LANGUAGES[language]
    show(evaluate(model or chosen.model_folder, n_texts, seed, chosen))


if __name__ == "__main__":
    typer.run(main)
