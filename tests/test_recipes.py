"""Recipes: every switch against the same written out by hand, and what was asked for before what a recipe says."""

import copy
import dataclasses
import logging

import numpy as np
import pytest
import torch
from conftest import build_hf, random_intervention
from numpy.testing import assert_allclose
from test_prompts import tokenizer
from test_steering import down_projection

import mechsteer as ms
from analyses.studies.plan import learner
from analyses.studies.settings import Settings
from analyses.units.steers import PairSet
from mechsteer.families import FORMS, RECIPES
from mechsteer.methods.dropout import Dropout
from mechsteer.methods.learning import learn
from mechsteer.methods.recipes.public import EXPERIMENTS
from mechsteer.methods.run import Draw
from mechsteer.methods.teaching import Teaching
from mechsteer.models.identity import ModelReference

SITE = ms.Site(1, "mlp.out")
PAIRS = ms.Pairs(
    tuple(
        ms.PolarityPair(f"q{i} is{' so' * (i % 4)}", f" good{'!' * i}.", f" so bad{'?' * (i % 3)}.", id=str(i), group=str(i % 4))
        for i in range(12)
    ),
    "toy",
)  # fmt: skip
CHOSEN = torch.tensor([0, 3, 5, 8])
WINNERS, LOSERS = torch.tensor([0.5, -1.0, 2.0, -0.5]), torch.tensor([1.5, -0.5, 0.5, -2.0])


@pytest.fixture(scope="module")
def model_and_plain():
    """A tiny model that reads text, and the same as plain Hugging Face has it."""
    tok, hf = tokenizer(), build_hf("llama")
    hf.resize_token_embeddings(len(tok), mean_resizing=False)
    plain = copy.deepcopy(hf)
    return ms.load_model(hf, tokenizer=tok, device="cpu"), plain


@pytest.fixture(scope="module")
def model(model_and_plain):
    return model_and_plain[0]


def plain_log_probabilities(plain, direction, multiplier, ids, begin):
    """Of a completion's tokens, where the down-projection's output is shifted at every token but the first."""

    def add(module, args, output):
        shift = multiplier * direction.expand(output.shape).clone()
        return output + torch.cat([0 * shift[:, :1], shift[:, 1:]], dim=1)

    handle = down_projection(plain, "llama", SITE.layer).register_forward_hook(add)
    logits = plain(torch.tensor([ids])).logits[0].log_softmax(-1)
    handle.remove()
    return torch.stack([logits[at - 1, ids[at]] for at in range(begin, len(ids))])


def plain_sides(model, plain, direction):
    """Each pair's winner and loser by token, under multipliers of their own; and their whole lengths."""
    found = []
    for index, winners, losers in zip(CHOSEN, WINNERS, LOSERS, strict=True):
        pair = ms.encode_pairs(model, PAIRS)[int(index)]
        win, lose = (pair.positive, pair.negative) if winners > 0 else (pair.negative, pair.positive)
        texts = ((win, float(winners)), (lose, float(losers)))
        found.append([(plain_log_probabilities(plain, direction, m, ids, pair.begin), len(ids)) for ids, m in texts])
    return found


def both_ways(model_and_plain, recipe, objective, plain_loss):
    """The objective and its gradient by the engine, and by plain forwards."""
    model, plain = model_and_plain
    start = random_intervention("vector", SITE, model)
    ours, theirs = (start.direction.clone().requires_grad_() for _ in range(2))
    teaching = Teaching.read(model, ms.encode_pairs(model, PAIRS), start, recipe)
    with teaching.losses(
        dataclasses.replace(start, direction=ours), CHOSEN, torch.stack([WINNERS, LOSERS]), "all"
    ) as losses:
        value = objective(losses)
        value.backward()
    expected = plain_loss(plain_sides(model, plain, theirs), plain_sides(model, plain, 0 * theirs.detach()))
    expected.backward()
    assert_allclose(value.item(), expected.item(), rtol=1e-5)
    assert_allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4 * float(theirs.grad.abs().max()))


def mean_over_tokens(sides, side):
    """As Hugging Face's `.loss` of a batch: over all tokens that have a label, whichever text they are of."""
    return -torch.cat([pair[side][0] for pair in sides]).mean()


@pytest.mark.parametrize("margin", [0.01, 30.0])
def test_split_of_batch_means_under_multipliers_drawn_apart_is_that_of_plain_token_log_probabilities(
    model_and_plain, margin
):
    def public(steered, unsteered):
        win, lose = mean_over_tokens(steered, 0), mean_over_tokens(steered, 1)
        return win + 0.6 * lose + 4.0 * torch.relu(margin - (lose - win))

    recipe = ms.Recipe(independent_multipliers=True, batch_means=True)
    both_ways(model_and_plain, recipe, ms.SPLIT(1.0, 0.6, 4.0, margin), public)


def test_reps_by_whole_lengths_is_that_of_plain_token_log_probabilities(model_and_plain):
    def public(steered, unsteered):
        terms = []
        for ((win, n_win), (lose, n_lose)), ((base_win, _), (base_lose, _)) in zip(steered, unsteered, strict=True):
            scale = torch.clamp(base_lose.sum() - base_win.sum(), min=1.0).detach()
            terms.append(-torch.nn.functional.logsigmoid(scale / n_win * win.sum() - lose.sum() / n_lose))
        return torch.stack(terms).mean()

    recipe = ms.Recipe(independent_multipliers=True, prompt_lengths=True)
    both_ways(model_and_plain, recipe, ms.RePS(), public)


def test_by_default_each_pair_has_a_hinge_and_completion_lengths_of_its_own(model_and_plain):
    def text(steered, unsteered):
        sides = [[-pair[side][0].mean() for pair in steered] for side in (0, 1)]
        win, lose = (torch.stack(side) for side in sides)
        return (win + 0.5 * lose + 5.0 * torch.relu(0.5 - (lose - win))).mean()

    both_ways(model_and_plain, ms.Recipe(), ms.SPLIT(), text)


def test_one_sided_draws_have_only_plus_m_and_two_sided_ones_every_pair_at_both():
    sizes = (0.5, 1.0, 2.0)
    for index in range(6):
        add = Draw.at(0, index, 20, ms.Recipe(batch_size=4, directions="add", multipliers=sizes))
        assert len(add.pairs) == 4 and set(add.multipliers.flatten().tolist()) <= set(sizes)
        both = Draw.at(0, index, 20, ms.Recipe(batch_size=4, directions="both", multipliers=sizes))
        assert len(both.pairs) == 8
        for pair in both.pairs.unique():
            assert sorted(both.multipliers[0].sign()[both.pairs == pair].tolist()) == [-1, 1]


@pytest.mark.parametrize("directions", ["half", "both", "add"])
def test_the_multipliers_of_winner_and_loser_are_drawn_apart_with_one_sign(directions):
    recipe = ms.Recipe(batch_size=50, directions=directions, independent_multipliers=True)
    winner, loser = (draw := Draw.at(0, 0, 50, recipe)).multipliers
    assert torch.equal(winner.sign(), loser.sign())
    assert 0.6 < (winner != loser).double().mean() < 1
    assert abs(np.corrcoef(winner.abs(), loser.abs())[0, 1]) < 0.4
    together = Draw.at(0, 0, 50, dataclasses.replace(recipe, independent_multipliers=False))
    assert (
        torch.equal(*together.multipliers)
        and torch.equal(together.multipliers[0], winner)
        and draw.seed == together.seed
    )


def test_a_batch_whose_means_count_is_read_as_it_was_drawn(model):
    encoded, start = ms.encode_pairs(model, PAIRS), random_intervention("vector", SITE, model)
    teaching = Teaching.read(model, encoded, start, ms.Recipe(batch_size=4, batch_means=True))
    assert list(teaching.batches(torch.arange(10))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("form", FORMS.members())
def test_dropout_takes_elements_of_a_vector_and_entries_of_a_weights_output(model, form):
    shift = random_intervention(form, SITE, model)
    h = torch.randn(2, 50, SITE.widths(model)[0])
    whole = shift.delta(h)
    left = Dropout(SITE, shift, 0.3, seed=0).delta(h)
    kept = left != 0
    assert_allclose(left[kept], (whole / 0.7)[kept], rtol=1e-5)
    assert form == "vector" or 0.68 < kept.double().mean() < 0.72
    # A vector's mask is one for all tokens.
    assert bool((kept == kept[:1, :1]).all()) == (form == "vector")
    assert not kept.all()


@pytest.mark.parametrize("form", FORMS.members())
def test_a_wide_start_is_that_of_the_public_code(model, form):
    """LoRA's A within 1/√rank, a vector within 1/√width, all else at zero."""
    starts = [
        learn(
            model, PAIRS, [SITE], "SPLIT", form,
            ms.TrainSettings(wide_start=wide, steps=1, learning_rate=1e-30), progress=False,
        ).intervention.parameters
        for wide in (False, True)
    ]  # fmt: skip
    d_in, d_out = SITE.widths(model)
    for parameters, rank_bound, vector_bound in zip(starts, (d_in**-0.5, 4**-0.5), (0.0, d_out**-0.5), strict=True):
        bounds = {"down": rank_bound, "direction": vector_bound}
        for name, value in parameters.items():
            bound = bounds.get(name, 0.0)
            assert 0.9 * bound <= float(value.abs().max()) <= bound + 1e-20
            assert bound == 0 or abs(float(value.std()) - bound / 3**0.5) < 0.2 * bound


@pytest.mark.parametrize("form", FORMS.members())
@pytest.mark.parametrize("method", ["SFT", "RePS", "SPLIT"])
def test_the_public_recipe_does_what_the_public_code_does(method, form):
    recipe = ms.TrainSettings(recipe="public").settled(method, form)
    assert recipe.independent_multipliers and recipe.wide_start and recipe.dropout == 0.1 and not recipe.relative
    assert recipe.bypass == (form != "vector")
    assert (recipe.batch_means, recipe.prompt_lengths) == (method != "RePS", method == "RePS")
    assert recipe.directions == ("add" if method == "SPLIT" else "both")
    assert_allclose(recipe.multipliers, (2.0 if form == "vector" else 0.2) * np.arange(1, 11))


@pytest.mark.parametrize(
    ("recipe", "method", "form", "said", "weights"),
    [
        ("public", "SPLIT", "vector", (0.08, 4, 1, 18, "add"), (0.6, 4, 0.5)),
        ("public:axbench-qwen", "SPLIT", "lora", (0.04, 2, 2, 12, "add"), (0.5, 5, 0.45)),
        ("public:axbench-qwen", "RePS", "lora", (0.08, 4, 1, 18, "both"), ()),
        ("public:axbench-gemma", "RePS", "lora", (0.08, 2, 6, 12, "both"), ()),
        ("public:psychopathy-qwen", "SPLIT", "lora", (0.01, 4, 2, 1, "both"), (0.5, 6, 0.4)),
        ("public:powerseeking-qwen", "SPLIT", "local_weight", (0.01, 2, 2, 2, "add"), (0.6, 5, 0.5)),
        ("paper", "SPLIT", "local_weight", (0.04, 2, 2, 12, "half"), (0.3, 3.5, 0.6)),
    ],
)
def test_experiments_have_their_own_settings(recipe, method, form, said, weights):
    found = ms.TrainSettings(recipe=recipe).settled(method, form)
    assert (found.learning_rate, found.batch_size, found.accumulate, found.epochs, found.directions) == said
    assert tuple(found.weights.values()) == weights


def test_the_paper_is_the_public_codes_numbers_by_our_switches():
    paper, ours = (ms.TrainSettings(recipe=name).settled("SPLIT", "lora") for name in ("paper", "ours"))
    for name in ("directions", "independent_multipliers", "batch_means", "prompt_lengths", "wide_start", "bypass"):
        assert getattr(paper, name) == getattr(ours, name)
    assert not paper.relative and paper.epochs == 12


def test_what_is_asked_for_comes_before_the_recipe_even_where_it_is_our_default():
    asked = {
        "batch_size": 8,
        "steps": 150,
        "relative": True,
        "directions": "half",
        "batch_means": False,
        "dropout": 0.0,
    }
    recipe = ms.TrainSettings(recipe="public", **asked).settled("SPLIT", "lora")
    assert {name: getattr(recipe, name) for name in asked} == asked
    assert recipe.epochs is None and recipe.independent_multipliers and recipe.learning_rate == 0.04


def test_an_objective_that_is_given_keeps_its_weights_and_a_name_takes_the_recipes(model):
    settings, start = ms.TrainSettings(recipe="public", steps=1), ms.LoRA.at(model, SITE)
    said = [
        ms.train(model, start, PAIRS, objective, settings, progress=False).intervention.origin.settings["objective"]
        for objective in ("SPLIT", ms.SPLIT, ms.SPLIT(margin=3.0))
    ]
    assert "margin=0.45" in said[0] and said[1] == said[0] and "margin=3.0" in said[2]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS.members())
@pytest.mark.parametrize("method", ["SFT", "RePS", "SPLIT"])
@pytest.mark.parametrize("recipe", RECIPES.members())
def test_every_recipe_trains_every_form_where_it_says(model, recipe, method, form):
    learned = learn(model, PAIRS, [SITE], method, form, ms.TrainSettings(recipe=recipe, steps=2), progress=False)
    place = "mlp.bypass" if recipe == "public" and form != "vector" else "mlp.out"
    assert learned.intervention.sites == (ms.Site(1, place),)
    assert learned.intervention.origin.settings["recipe"] == recipe
    assert learned.history.loss.notna().all()


def test_where_no_mlp_gives_an_output_a_weight_stays_and_a_sentence_says_so(model, caplog):
    with caplog.at_level(logging.WARNING):
        learned = learn(
            model, PAIRS, ms.parse_sites("1:resid_mid,2:mlp.out"), "SFT", "lora",
            ms.TrainSettings(recipe="public", steps=1), progress=False,
        )  # fmt: skip
    assert [str(site) for site in learned.intervention.sites] == ["1:resid_mid", "2:mlp.bypass"]
    assert "at mlp.bypass, and 1:resid_mid is no MLP's output" in caplog.text


@pytest.mark.parametrize(
    ("recipe", "form", "words"),
    [
        ("private", "vector", "recipe 'private' is unknown. Choose ours, paper, public"),
        ("public:imdb", "vector", "no experiment 'imdb'. Choose axbench-gemma"),
        ("ours:imdb", "vector", "no experiment 'imdb'. Write --recipe ours"),
        ("public", "scale", "no settings for the form 'scale'. Choose --recipe ours"),
    ],
)
def test_a_recipe_that_is_not_there_is_one_sentence(recipe, form, words):
    with pytest.raises(ms.InputError, match=words):
        ms.TrainSettings(recipe=recipe).settled("SFT", form)


def test_every_experiment_says_all_that_a_form_needs():
    for experiment in EXPERIMENTS:
        for method in ("SFT", "RePS", "SPLIT"):
            for form in FORMS.members():
                found = ms.TrainSettings(recipe=f"public:{experiment}").settled(method, form)
                assert len(found.weights) == (3 if method == "SPLIT" else 0) and found.epochs


def test_the_recipe_is_part_of_what_a_study_learns_and_of_nothing_that_is_not_trained():
    def keys(**asked):
        settings = Settings(methods=("DiffMean", "SPLIT"), forms=("vector", "lora"), site="1:mlp.out", **asked)
        reference = ModelReference("w", "t", "float32")
        return {
            (method, form): learner(settings, reference, PairSet.of(PAIRS), settings.site, method, form, 0)
            for method, form in settings.steers()
        }

    ours, public, qwen = keys(), keys(recipe="public"), keys(recipe="public:axbench-qwen")
    assert ours["DiffMean", "vector"].key == public["DiffMean", "vector"].key
    for form in ("vector", "lora"):
        assert len({found["SPLIT", form].key for found in (ours, public, qwen)}) == 3
    assert (
        public["SPLIT", "lora"].steer.sites == "1:mlp.bypass" and public["SPLIT", "vector"].steer.sites == "1:mlp.out"
    )
    assert "--recipe=public" in Settings(recipe="public").command
    with pytest.raises(ms.InputError, match="recipe 'private' is unknown"):
        Settings(recipe="private")
