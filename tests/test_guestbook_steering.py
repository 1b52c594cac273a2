"""Trained steers against the guestbook's exact checker, which no log-odds can flatter."""

import random

import numpy as np
import pytest
import torch

import mechsteer as ms

SITE = ms.Site(1, "resid_post")


@pytest.fixture(scope="module")
def pairs():
    return ms.load_pairs("guestbook/sentiment").split(0.5, seed=0)


def sentiment(model: ms.Model, steer: ms.Intervention, queries: list[str], multiplier: float) -> tuple[float, float]:
    """Mean exact sentiment of generated answers, and the share that is valid."""
    with ms.steer(model, steer, multiplier):
        answers = ms.generate(model, queries, temperature=1.0, keep_special_tokens=True)
    checks = [ms.guestbook.check(query, answer) for query, answer in zip(queries, answers, strict=True)]
    return float(np.mean([check.values["sentiment"] for check in checks])), float(np.mean([c.valid for c in checks]))


def trained(model: ms.Model, pairs: ms.Pairs, objective: ms.Objective) -> ms.Intervention:
    start = ms.LoRA.init(SITE, *SITE.widths(model), generator=torch.Generator().manual_seed(0))
    return ms.train(model, start, pairs, objective, ms.TrainSettings(steps=60), progress=False).intervention


@pytest.mark.slow
@pytest.mark.parametrize("objective", [ms.SFT(), ms.SPLIT()], ids=["SFT", "SPLIT"])
def test_training_moves_what_the_model_writes_and_shuffled_polarity_does_not(guestbook, pairs, objective):
    learning, testing = pairs
    queries = [pair.query for pair in testing[:64]]
    coin = random.Random(0)
    shuffled = ms.Pairs(
        tuple(pair if coin.random() < 0.5 else ms.Pairs((pair,), "").swapped()[0] for pair in learning), "shuffled"
    )
    moved = {}
    for name, taught in (("true", learning), ("shuffled", shuffled)):
        steer = trained(guestbook, taught, objective)
        (low, _), (high, valid) = (sentiment(guestbook, steer, queries, m) for m in (-1.0, 1.0))
        moved[name] = high - low
        if name == "true":
            assert valid > 0.5
    assert moved["true"] > 1.2
    assert abs(moved["shuffled"]) < 0.5
