"""Judges on real models, where they lie: how reliable they are is printed, however poor, and what cannot be read is missing."""

import os
from pathlib import Path

import numpy as np
import pytest

from mechsteer.families import JUDGES
from mechsteer.judges.answers import Answers
from mechsteer.judges.base import Judge, Subject, Written
from mechsteer.judges.request import Request
from mechsteer.pairs.polarity import Pairs, PolarityPair
from mechsteer.statistics.agreement import Confusion

FOLDER = os.environ.get("MECHSTEER_MODELS")
EMBEDDINGS = "all-MiniLM-L6-v2"
LOCAL = ("Qwen2.5-Coder-0.5B-Instruct-q4_k_m.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf")
PRAISE = (
    "The soup was wonderful and we loved it.", "A great film, warm and funny.", "The staff were kind and quick.",
    "I have never slept better than in this hotel.", "What a lovely garden, full of light.", "The concert was superb.",
    "Her new book is a joy to read.", "The best bread in town, fresh and crisp.", "The phone works perfectly.",
    "A bright room with a beautiful view.", "The guide was excellent and patient.", "We had a delightful evening.",
)  # fmt: skip
COMPLAINT = (
    "The soup was cold and we hated it.", "A dull film, long and empty.", "The staff were rude and slow.",
    "I have never slept worse than in this hotel.", "What an ugly garden, full of rubbish.", "The concert was awful.",
    "Her new book is a chore to read.", "The worst bread in town, stale and hard.", "The phone breaks constantly.",
    "A dark room with a miserable view.", "The guide was useless and impatient.", "We had a dreadful evening.",
)  # fmt: skip
BROKEN = (
    "the the the the the the the the the the",
    "soup soup soup. soup! soup soup soup soup",
    "qx zz 77 ]] of of of of",
)


def opened(name: str, model: str, tmp_path: Path, learning: Pairs | None = None) -> Judge:
    if FOLDER is None:
        pytest.skip("MECHSTEER_MODELS names no folder with real models")
    if not Path(FOLDER, model).exists():
        pytest.skip(f"MECHSTEER_MODELS holds no {model}")
    subject = Subject("the writer is pleased with what they write about", "", learning)
    request = Request.parse(f"{name}=$MECHSTEER_MODELS/{model}", "yes_no")
    return JUDGES.load(name).open(request, subject, Answers(tmp_path))


def told(name: str, found: Confusion) -> None:
    sensitivity, specificity = found.rates
    print(f"\n{name}: sensitivity {sensitivity:.2f}, specificity {specificity:.2f}, κ {found.kappa:.2f}, {found}")


def test_a_classifier_says_how_good_it_is_before_it_judges(tmp_path):
    pairs = Pairs(
        tuple(PolarityPair("Review:", f" {one}", f" {other}") for one, other in zip(PRAISE[:10], COMPLAINT[:10], strict=True)),
        "reviews",
    )  # fmt: skip
    judge = opened("classifier", EMBEDDINGS, tmp_path, pairs)
    texts = [*PRAISE[10:], *COMPLAINT[10:]]
    scores = np.array([row.score for row in judge.judge([Written("Review:", text) for text in texts])["concept"]])
    truth = np.array([True] * 2 + [False] * 2)
    told(f"classifier, {judge.about}", Confusion.of(truth, scores > 0.5))
    assert 0.7 < judge.auroc <= 1 and scores[truth].min() > scores[~truth].max()


@pytest.mark.parametrize("model", LOCAL)
def test_a_local_model_is_read_by_probabilities_and_its_reliability_told(model, tmp_path):
    judge = opened("local", model, tmp_path)
    texts = [Written("Write a line of a review.", text) for text in (*PRAISE[:6], *COMPLAINT[:6], *BROKEN)]
    found = judge.judge(texts)
    for aspect, truth in (("concept", [True] * 6 + [False] * 9), ("coherence", [True] * 12 + [False] * 3)):
        rows = found[aspect]
        for row in rows:
            assert 0 <= row.mass <= 1 + 1e-9
            assert (row.failed == "" and 0 <= row.score <= 1) or (row.mass < 0.25 and np.isnan(row.score))
        there = np.array([row.failed == "" for row in rows])
        said = np.array([row.score > 0.5 for row in rows])
        told(
            f"{model}, {aspect}, {np.count_nonzero(~there)} missing", Confusion.of(np.array(truth)[there], said[there])
        )
    # Asked again, every answer is found and the model is not.
    assert not judge.missing([question for some in judge.questions(texts).values() for question in some])
