"""Evidence says what sweeps say, by another route, and comes back from its file as it was."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from conftest import FAMILIES, random_batch, random_intervention
from numpy.testing import assert_allclose, assert_array_equal

import mechsteer as ms
from analyses.claims import one_operation
from analyses.evidence import edited_weights
from analyses.evidence.collection import collect, handled_well, spread
from analyses.evidence.evidence import Evidence
from mechsteer.engine.activations import read_activations
from mechsteer.engine.losses import pair_texts
from mechsteer.models.hooks import PLACES
from mechsteer.models.positions import steered_in
from mechsteer.models.prompts import encode_pairs

FORMS = ("vector", "lora", "local_weight")
GRID = np.array([-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])


@pytest.fixture(scope="module")
def pairs(shared) -> tuple[ms.Pairs, ms.Pairs]:
    """A few pairs to learn from, and others to measure."""
    folder = shared / "data/story_mood"
    return ms.load_pairs(folder / "train.jsonl")[:10], ms.load_pairs(folder / "validation.jsonl")[:6]


@pytest.fixture(scope="module")
def steered(stories, pairs):
    """Collect the evidence of a steer at a site."""
    kept = {}

    def get(form: str, place: str) -> tuple[ms.Intervention, Evidence]:
        if (form, place) not in kept:
            intervention = random_intervention(form, ms.Site(2, place), stories)
            sweep = ms.run_sweep(stories, intervention, pairs[1], GRID, progress=False)
            learnt = ms.run_sweep(stories, intervention, pairs[0], GRID, progress=False)
            kept[form, place] = intervention, collect(stories, intervention, *pairs, sweep, learnt, n_test_tokens=40)
        return kept[form, place]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["mlp.out", "resid_post"])
def test_slopes_are_those_of_a_sweep_around_zero(stories, pairs, steered, form, place):
    intervention, evidence = steered(form, place)
    step = evidence.sweep.multiplier_at(0.02)
    near = ms.run_sweep(stories, intervention, pairs[1], [-2 * step, -step, step, 2 * step], progress=False)
    for name in ("preference", "utility"):
        values = getattr(near, name)
        # A central difference, freed of its first error by the one at twice the step.
        expected = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * step)
        slope = getattr(evidence, f"slope_{name}")
        assert_allclose(slope, expected, atol=1e-3 * np.abs(expected).max(), rtol=1e-3)
        projected = np.einsum("pd,pd->p", getattr(evidence, f"gradient_{name}"), evidence.delta)
        if form == "vector":
            assert_allclose(projected, slope, rtol=1e-4, atol=1e-5)
        else:
            assert np.abs(projected - slope).max() > 0.01 * np.abs(slope).max()  # the mean shift is not the shift


@pytest.mark.slow
@pytest.mark.parametrize("form", ["vector", "lora"])
@pytest.mark.parametrize("place", ["mlp.out", "resid_post"])
def test_the_mean_shift_is_what_the_steer_adds_at_the_steered_positions(stories, pairs, steered, form, place):
    intervention, evidence = steered(form, place)
    added = []
    for pair in encode_pairs(stories, pairs[1]):
        shifts = []
        for ids in (pair.positive, pair.negative):
            values = []
            batch = ms.TokenBatch(torch.tensor([ids]), *torch.ones(2, 1, len(ids), dtype=torch.bool))
            for multiplier in (0.0, 1.0):
                look = intervention.site.hooks(lambda h, value, values=values: values.append(value[0]))
                with torch.no_grad(), ms.steer(stories, intervention, multiplier), stories.hooks(look):
                    stories.logits(batch)
            shifts.append(values[1] - values[0])
        assert shifts[0][0].abs().max() == 0  # the token that begins the text
        added.append(torch.cat([shift[1:] for shift in shifts]).mean(dim=0).numpy())
    assert_allclose(evidence.delta, added, atol=1e-4)


def test_activations_are_those_of_a_plain_forward_under_the_steer(stories, pairs, steered):
    intervention, evidence = steered("lora", "mlp.out")
    assert evidence.site_layer == 2 and list(evidence.layers) == [2, 3, 4]
    assert set(evidence.multipliers) == set(GRID) - {0.0}
    sites = [intervention.site, ms.Site(3, "resid_post"), ms.Site(4, "resid_post")]
    encoded = encode_pairs(stories, pairs[1])
    for index, multiplier in enumerate([0.0, *evidence.multipliers]):
        with ms.steer(stories, intervention, float(multiplier)):
            read = next(iter(read_activations(stories, encoded, sites)))
        for site in sites:
            layer = evidence.layers[site.layer]
            ours = layer.base if index == 0 else layer.steered[index - 1]
            every = read.at[site].numpy()
            nearest = np.linalg.norm(every[None] - ours[:, None], axis=2).argmin(axis=1)
            assert_allclose(ours, every[nearest], atol=1e-4, rtol=1e-4)
            assert_array_equal(read.pair.numpy()[nearest], evidence.token_pair)


def test_only_the_texts_that_the_model_handles_well_stand_for_the_manifold(stories, pairs, steered):
    _, evidence = steered("vector", "resid_post")
    chosen = handled_well(evidence.learning_sweep)
    assert chosen.sum() == len(pairs[0])
    texts = pair_texts(ms.encode_pairs(stories, pairs[0]))
    # What begins alike has been read alike, and counts once.
    read = {
        ids[:end] for row, (ids, begin) in enumerate(texts) if chosen[row] for end in range(begin + 1, len(ids) + 1)
    }
    assert len(evidence.layers[2].learning) == len(read)
    assert len(evidence.layers[2].base) == len(evidence.token_pair) == 40


def test_what_a_layer_norm_subtracts_is_removed(shared, stories):
    sorter = ms.load_model(shared / "models/minGPT-sort", device="cpu")
    assert sorter.has_layer_norm and not stories.has_layer_norm
    pairs = ms.Pairs(
        (ms.PolarityPair("CBA", "ABC", "BAC", id="1"), ms.PolarityPair("CCA", "ACC", "CAA", id="2")), name="letters"
    )
    steer = random_intervention("vector", ms.Site(0, "resid_post"), sorter)
    sweep = ms.run_sweep(sorter, steer, pairs, [-1.0, 0.0, 1.0], progress=False)
    evidence = collect(sorter, steer, pairs, pairs, sweep, sweep)
    for layer in evidence.layers.values():
        assert_allclose(layer.steered.mean(axis=-1), 0, atol=1e-5)
    assert_allclose(evidence.delta[0], (steer.direction - steer.direction.mean()).numpy(), atol=1e-5)
    # And what is removed made no difference: the gradient does not see it.
    assert_allclose(evidence.gradient_preference.sum(axis=1), 0, atol=1e-4)


def test_evidence_comes_back_from_its_file_as_it_was(steered, tmp_path):
    _, evidence = steered("lora", "resid_post")
    again = Evidence.load(evidence.save(tmp_path / "steer.npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["steer.npz"]
    for item in fields(Evidence):
        ours, theirs = getattr(evidence, item.name), getattr(again, item.name)
        if item.name == "layers":
            assert ours.keys() == theirs.keys()
            for layer in ours:
                for part in ("learning", "base", "steered"):
                    assert_array_equal(getattr(ours[layer], part), getattr(theirs[layer], part))
        elif item.name in ("sweep", "learning_sweep"):
            assert ours.to_frame().equals(theirs.to_frame())
        elif item.name == "answers":
            assert ours.equals(theirs)
        else:
            assert_array_equal(ours, theirs)


def test_tokens_are_those_of_the_texts_and_stand_where_they_stand(stories, pairs, steered):
    _, evidence = steered("vector", "resid_post")
    texts = [(pair.positive, pair.negative) for pair in encode_pairs(stories, pairs[1])]
    for pair, token, position in zip(evidence.token_pair, evidence.token_id, evidence.token_position, strict=True):
        assert token in [ids[position] for ids in texts[pair] if position < len(ids)]
    n_learnt = len(evidence.layers[2].learning)
    assert len(evidence.learning_token_id) == len(evidence.learning_token_position) == n_learnt


def test_evidence_of_an_older_version_is_refused_in_one_sentence(steered, tmp_path):
    _, evidence = steered("vector", "resid_post")
    with np.load(evidence.save(tmp_path / "steer.npz")) as file:
        kept = {name: values for name, values in file.items() if name != "token_id"}
    np.savez(tmp_path / "older.npz", **kept)
    with pytest.raises(ms.InputError, match="older.npz' is evidence by another version, without token_id"):
        Evidence.load(tmp_path / "older.npz")


def test_collecting_again_gives_the_same_evidence(stories, pairs, steered):
    intervention, evidence = steered("vector", "resid_post")
    again = collect(stories, intervention, *pairs, evidence.sweep, evidence.learning_sweep, n_test_tokens=40)
    assert_array_equal(again.token_pair, evidence.token_pair)
    assert_array_equal(again.layers[4].steered, evidence.layers[4].steered)
    assert_array_equal(again.gradient_utility, evidence.gradient_utility)


def test_a_sweep_of_other_pairs_is_refused(stories, pairs, steered):
    intervention, evidence = steered("vector", "resid_post")
    with pytest.raises(ms.InputError, match="other pairs"):
        collect(stories, intervention, pairs[1], pairs[0], evidence.sweep, evidence.learning_sweep)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_multipliers_are_spread_over_both_sides_with_their_ends(n):
    grid = np.concatenate([-np.geomspace(0.1, 9, 20)[::-1], [0.0], np.geomspace(0.1, 30, 20)])
    chosen = spread(grid, n)
    assert set(chosen) <= set(grid) - {0.0} and len(chosen) == n and (chosen < 0).sum() == n // 2
    assert chosen[0] == grid[0] and chosen[-1] == grid[-1]
    assert_array_equal(spread(np.array([-1.0, 0.0, 2.0, 3.0]), 8), [-1.0, 2.0, 3.0])


@pytest.mark.parametrize("positions", ["all", "completion", "query"])
def test_positions_are_those_that_a_steer_means(tiny, positions):
    model, batch = tiny("llama"), random_batch()
    direction = torch.ones(model.d_model)
    with (
        torch.no_grad(),
        ms.steer(model, ms.SteeringVector(ms.Site(0, "resid_post"), direction), 1.0, positions) as audit,
    ):
        model.logits(batch)
    assert audit.n_positions == int(steered_in(batch, positions, model.bos_token).sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_and_edited_weights_are_one_operation_and_the_weights_come_back(tiny, family, place, form):
    model, batch, site = tiny(family), random_batch(), ms.Site(1, place)
    try:
        site.widths(model)
    except ms.InputError:
        pytest.skip("the family has no such place")
    intervention = random_intervention(form, site, model)
    with torch.no_grad():
        base = model.logits(batch)
        with ms.steer(model, intervention, 0.3, torch.ones_like(batch.attention_mask)):
            hooked = model.logits(batch)
        with edited_weights.edited(model, intervention, 0.3):
            edited = model.logits(batch)
        after = model.logits(batch)
    assert torch.equal(base, after)
    where = batch.attention_mask
    change = (hooked - base)[where].abs().max()
    assert change > 0.01
    assert (hooked - edited)[where].abs().max() < 1e-4 * change


def test_a_steer_of_a_real_model_is_judged_one_operation_and_a_false_one_is_not(stories, shared):
    testing = ms.load_pairs(shared / "data/story_mood/validation.jsonl")[:24]
    steer = random_intervention("lora", ms.Site(2, "mlp.out"), stories)
    sweep = ms.run_sweep(stories, steer, testing, [-1.0, 0.0, 1.0], progress=False)
    table = edited_weights.compare(stories, steer, testing, sweep)
    (claim,) = one_operation.run(table).claims
    assert claim.outcome is ms.Outcome.SUPPORTED and claim.estimate < 1e-4 and len(table) == 24
    (wrong,) = one_operation.run(table.assign(difference=table["reversed"])).claims
    assert wrong.outcome is ms.Outcome.REFUTED
    (few,) = one_operation.run(table[:19]).claims
    assert few.outcome is ms.Outcome.INCONCLUSIVE
