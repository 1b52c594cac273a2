"""Norms frozen at m = 0: what plain Hugging Face computes with norms written out, and what is measured of a steer."""

import numpy as np
import pytest
import torch
from conftest import build_hf, random_batch
from numpy.testing import assert_allclose
from worlds.norms import frozen

import mechsteer as ms
from analyses.claims import frozen_norms
from analyses.evidence.frozen_norms import SHARES, Norms, measure
from mechsteer.statistics.judging import Outcome

LAYER, M = 1, 1.5
PLUS_ONE = ("gemma2", "gemma3")
"""Families whose norms multiply by one more than their weight."""


def norms_of(hf):
    return [module for module in hf.modules() if type(module).__name__.endswith("Norm")]


def by_hand(hf, family: str, ids: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Logits of one text under m·v in the residual after a block, each norm a formula with its σ of the unsteered text."""
    blocks = hf.transformer.h if family == "gpt2" else hf.model.layers
    read = {}
    noting = [n.register_forward_pre_hook(lambda n, args: read.__setitem__(n, args[0].double())) for n in norms_of(hf)]
    hf(input_ids=ids[None])
    for handle in noting:
        handle.remove()

    def written_out(norm):
        h0, is_layer_norm = read[norm], family == "gpt2"
        mean = h0.mean(-1, keepdim=True) if is_layer_norm else 0.0
        epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        sigma = (((h0 - mean) ** 2).mean(-1, keepdim=True) + epsilon).sqrt()
        weight = norm.weight.double() + (family in PLUS_ONE)

        def forward(h):
            centred = h.double() - (h.double().mean(-1, keepdim=True) if is_layer_norm else 0.0)
            return (weight * centred / sigma + (norm.bias.double() if is_layer_norm else 0.0)).float()

        return forward

    for norm in norms_of(hf):
        norm.forward = written_out(norm)

    def shifted(module, args, output):
        h = output[0] if isinstance(output, tuple) else output
        h = torch.cat([h[:, :1], h[:, 1:] + M * vector], dim=1)
        return (h, *output[1:]) if isinstance(output, tuple) else h

    blocks[LAYER].register_forward_hook(shifted)
    return hf(input_ids=ids[None]).logits[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gemma3", "qwen3"])
def test_frozen_norms_are_those_of_plain_hugging_face_written_out(tiny, family):
    """Padded rows against single texts; norms within attention, and those that multiply by one more than their weight, too."""
    batch, model = random_batch(), tiny(family)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    steer, norms = ms.SteeringVector(ms.Site(LAYER, "resid_post"), vector), Norms.of(model)
    with torch.no_grad():
        with norms.read():
            plain = model.logits(batch)
        with ms.steer(model, steer, M), norms.frozen():
            found = model.logits(batch)
        with ms.steer(model, steer, M):
            steered = model.logits(batch)
        assert torch.equal(model.logits(batch), plain)
        for row, present in enumerate(batch.attention_mask):
            expected = by_hand(build_hf(family), family, batch.tokens[row][present], vector)
            assert_allclose(found[row][present], expected, atol=2e-4 * float(expected.abs().max()))
            assert (found - steered)[row][present].abs().max() > 0.01


def test_where_nothing_is_steered_freezing_changes_nothing_and_the_rest_is_the_sweep(guestbook):
    learning, testing = ms.load_pairs("guestbook/sentiment").sample(40, seed=0).split(0.5, seed=0)
    vector = ms.diff_mean(guestbook, learning, "1:resid_mid")
    sweep = ms.run_sweep(guestbook, vector, testing[:6], np.linspace(-16, 16, 9), progress=False)
    table = measure(guestbook, vector, testing[:6], sweep)
    assert table.multiplier.nunique() == 1 + 2 * len(SHARES)
    zero = table[table.multiplier == 0]
    assert_allclose(zero.preference, zero.preference_frozen, atol=1e-4)
    assert_allclose(zero.utility, zero.utility_frozen, atol=1e-4)
    again = ms.run_sweep(guestbook, vector, testing[:6], table.multiplier.unique(), progress=False)
    real = table.pivot(index="multiplier", columns="pair", values="utility")[list(again.pairs)]
    assert_allclose(real, again.utility, atol=1e-3)
    assert (table.utility - table.utility_frozen).abs().max() > 0.1


def test_the_share_is_of_what_steering_changes_within_the_useful_range():
    """Whatever happens beyond it."""
    table = frozen(0.3, n_pairs=60)
    beyond = table.share.abs() > 1
    table.loc[beyond, ["preference_frozen", "utility_frozen"]] = 1e6
    for claim, column in zip(frozen_norms.run(table).claims, ("preference", "utility"), strict=True):
        real, frozen_ = (
            table[~beyond].pivot(index="share", columns="pair", values=name) for name in (column, f"{column}_frozen")
        )
        products = (frozen_ - real).T @ (frozen_ - real)
        n_pairs, changed = len(products), (real - real.loc[0.0]).mean(axis=1)
        # Over all two different pairs.
        apart = (products.to_numpy().sum() - np.trace(products)) / (n_pairs * (n_pairs - 1))
        assert claim.estimate == pytest.approx(np.sqrt(apart / (changed**2).sum()))


@pytest.mark.slow
def test_pairs_that_scatter_around_nothing_are_no_change():
    """As much as steering changes, on every pair, and in the mean not at all."""
    shares = [frozen_norms.run(frozen(own=1.0, seed=seed)).claims[0] for seed in range(8)]
    assert Outcome.REFUTED not in [claim.outcome for claim in shares]
    assert np.median([claim.estimate for claim in shares]) < 0.12


def test_pairs_without_a_utility_decide_nothing_of_it():
    table = frozen(0.0).assign(utility=np.nan)
    preference, utility = frozen_norms.run(table).claims
    assert preference.outcome.value == "supported" and utility.outcome.value == "inconclusive"
