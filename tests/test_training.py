"""Training: gradients by an independent route, laws of the objectives, and runs that can be repeated and resumed."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import FAMILIES, build_hf, random_intervention
from numpy.testing import assert_allclose
from test_prompts import tokenizer
from test_steering import FORMS, as_weights, down_projection, edit

import mechsteer as ms
from mechsteer.engine import Plain, engine_for
from mechsteer.engine.forward import cache_name
from mechsteer.families import FORMS as BY_NAME
from mechsteer.families import OBJECTIVES
from mechsteer.methods.objectives.base import BatchLosses
from mechsteer.methods.run import Draw
from mechsteer.methods.teaching import Teaching
from mechsteer.methods.trainer import _checkpointing
from mechsteer.models.survey import all_sites

SITE = ms.Site(1, "mlp.out")
PAIRS = ms.Pairs(
    tuple(
        ms.PolarityPair(f"q{i} is", f" good{'!' * i}.", f" so bad{'?' * (i % 3)}.", id=str(i), group=str(i % 4))
        for i in range(12)
    ),
    "toy",
)


@pytest.fixture(scope="module")
def toy():
    """Tiny models that read text; the vocabulary of the test tokenizer is larger than theirs, so it is cut down."""
    opened = {}

    def open_model(family: str) -> ms.Model:
        if family not in opened:
            tok = tokenizer()
            hf = build_hf(family)
            hf.resize_token_embeddings(len(tok), mean_resizing=False)
            with torch.no_grad():
                generator = torch.Generator().manual_seed(1)
                hf.get_input_embeddings().weight.copy_(
                    torch.randn(hf.get_input_embeddings().weight.shape, generator=generator) / 4
                )
            opened[family] = (ms.load_model(hf, tokenizer=tok, device="cpu"), hf)
        return opened[family][0]

    return open_model


def losses(**given) -> BatchLosses:
    one = {
        "win": [3.0, 4.0],
        "lose": [5.0, 2.0],
        "win_tokens": [2, 4],
        "lose_tokens": [5, 2],
        "base_win": [3.5, 9.0],
        "base_lose": [5, 2.5],
    }
    tensors = {
        name: torch.tensor(value, dtype=torch.int64 if "tokens" in name else torch.float64)
        for name, value in (one | given).items()
    }
    return BatchLosses(**tensors)


def test_objectives_equal_their_formulas_written_out():
    batch = losses()
    w, l = np.array([3 / 2, 4 / 4]), np.array([5 / 5, 2 / 2])  # noqa: E741 (per token)
    assert_allclose(ms.SFT()(batch), w.mean())
    split = ms.SPLIT(positive_weight=1.5, negative_weight=0.3, preference_weight=7.0, margin=0.4)
    assert_allclose(split(batch), (1.5 * w + 0.3 * l + 7.0 * np.maximum(0, 0.4 - (l - w))).mean())
    beta = np.maximum([3.5 - 5, 9.0 - 2.5], 1.0)
    assert_allclose(ms.RePS()(batch), np.log1p(np.exp(-(-beta * w + l))).mean())


def test_split_without_its_own_terms_is_sft():
    assert_allclose(ms.SPLIT(1.0, 0.0, 0.0, 0.5)(losses()), ms.SFT()(losses()))


def test_the_hinge_is_taken_pair_by_pair():
    """Of batch means it would be zero here: one pair is far beyond the margin, the other far short of it."""
    batch = losses(win=[0.0, 6.0], lose=[20.0, 0.0], win_tokens=[1, 1], lose_tokens=[1, 1])
    assert_allclose(ms.SPLIT(0.0, 0.0, 1.0, 0.5)(batch), (0 + 6.5) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("method", OBJECTIVES.members())
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "neox"])
def test_gradients_equal_those_of_edited_weights_in_plain_hugging_face(toy, family, form, method):
    """The negative side of RePS as a vector is no edit of weights, so its gradient is compared at positive multipliers."""
    model, objective = toy(family), OBJECTIVES.load(method)()
    start = random_intervention(form, SITE, model)
    start = start.with_parameters({name: 0.3 * value for name, value in start.parameters.items()})
    chosen, multipliers = torch.tensor([0, 3, 5]), torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    if (method, form) != ("RePS", "vector"):
        multipliers = -multipliers
    free = {name: value.clone().requires_grad_() for name, value in start.parameters.items()}
    texts = Teaching.read(model, ms.encode_pairs(model, PAIRS), start)
    taught = dataclasses.replace(start.with_parameters(free), rule=objective.learning_rule(start.rule, form))
    with texts.losses(taught, chosen, multipliers.expand(2, -1), "all") as batch:
        objective(batch).backward()

    hf = build_hf(family)
    hf.resize_token_embeddings(model.hf.get_input_embeddings().weight.shape[0], mean_resizing=False)
    hf.load_state_dict(plain_state(family, model))
    other = {name: value.clone().requires_grad_() for name, value in start.parameters.items()}
    weight, bias = as_weights(start.with_parameters(other), *SITE.widths(model))
    module = down_projection(hf, family, SITE.layer)
    edit(module, (0.0 * weight).detach(), (0.0 * bias).detach())
    m = float(multipliers[0])
    transpose = isinstance(module, torch.nn.Linear)
    edited = {
        "weight": module.weight.detach() + m * (weight if transpose else weight.T),
        "bias": module.bias.detach() + m * bias,
    }
    module_name = next(name for name, candidate in hf.named_modules() if candidate is module)

    def plain(ids, begin) -> torch.Tensor:
        # BOS is not steered: run it unsteered once for its keys and values, then the rest on top of that cache.
        tokens = torch.tensor([ids])
        cache = hf(input_ids=tokens[:, :1], use_cache=True).past_key_values
        call = {f"{module_name}.{name}": value for name, value in edited.items()}
        logits = torch.func.functional_call(
            hf, call, (), {"input_ids": tokens[:, 1:], cache_name(model): cache, "use_cache": True}
        ).logits
        log_probabilities = logits[0].log_softmax(-1)
        return -sum(log_probabilities[at - 2, ids[at]] for at in range(begin, len(ids)))

    encoded = [ms.encode_pairs(model, PAIRS)[int(i)] for i in chosen]
    if m < 0:
        encoded = [pair.swapped() for pair in encoded]
    sums = [[plain(ids, pair.begin) for ids in (pair.positive, pair.negative)] for pair in encoded]
    win, lose = (torch.stack([row[side] for row in sums]) for side in (0, 1))
    n_tokens = [
        torch.tensor([len(ids) - pair.begin for pair in encoded for ids in [(pair.positive, pair.negative)[side]]])
        for side in (0, 1)
    ]
    expected = BatchLosses(win, lose, *n_tokens, batch.base_win.float(), batch.base_lose.float())
    objective(expected).backward()
    assert_allclose(batch.win.detach(), win.detach(), atol=1e-4)
    for name, value in free.items():
        scale = float(other[name].grad.abs().max())
        assert scale > 0
        assert_allclose(value.grad, other[name].grad, rtol=1e-4, atol=1e-4 * scale, err_msg=name)


def plain_state(family: str, model: ms.Model) -> dict[str, torch.Tensor]:
    """The weights of the toy model under plain Hugging Face's names: built the same way once more."""
    hf = build_hf(family)
    hf.resize_token_embeddings(model.hf.get_input_embeddings().weight.shape[0], mean_resizing=False)
    state = hf.state_dict()
    embedding = model.hf.get_input_embeddings().weight
    for name, value in state.items():
        if value.shape == embedding.shape:
            source = (
                model.hf.get_output_embeddings()
                if "head" in name or "embed_out" in name
                else model.hf.get_input_embeddings()
            )
            state[name] = source.weight.detach().clone()
    return state


def fit(model, form="vector", objective=None, pairs=PAIRS, **options) -> ms.Trained:
    start = BY_NAME.load(form).init(SITE, *SITE.widths(model), generator=torch.Generator().manual_seed(0))
    apart = {name: options.pop(name) for name in ("validation", "checkpoint") if name in options}
    settings = ms.TrainSettings(**{"steps": 20, "batch_size": 4} | options)
    return ms.train(model, start, pairs, objective or ms.SPLIT(), settings, progress=False, **apart)


@pytest.mark.slow
@pytest.mark.parametrize("method", OBJECTIVES.members())
@pytest.mark.parametrize("form", FORMS)
def test_training_moves_preference_towards_the_completion_that_should_win(toy, form, method):
    model = toy("llama")
    trained = fit(model, form, OBJECTIVES.load(method)(), steps=40)
    assert type(trained.intervention) is BY_NAME.load(form) and trained.intervention.site == SITE
    sweep = ms.run_sweep(model, trained.intervention, PAIRS, [-1, 0, 1], progress=False)
    low, zero, high = sweep.preference.mean(axis=1)
    assert high > zero + 0.5
    # RePS learns a vector's negative side by projection, so -m is not what it was taught.
    assert low < zero - (0 if (method, form) == ("RePS", "vector") else 0.5)


@pytest.mark.parametrize("form", FORMS)
def test_reps_takes_the_direction_out_of_vectors_alone(toy, form):
    """Taken out, nothing depends on how large m is; added, it does."""
    model = toy("llama")
    start = random_intervention(form, SITE, model)
    taught = dataclasses.replace(start, rule=ms.RePS().learning_rule(start.rule, form))
    sweep = ms.run_sweep(model, taught, PAIRS, [-2.0, -1.0, 0.0], progress=False)
    plain = ms.run_sweep(model, start, PAIRS, [-2.0, -1.0, 0.0], progress=False)
    if form == "vector":
        assert_allclose(sweep.preference[0], sweep.preference[1], atol=1e-4)
    else:
        assert_allclose(sweep.preference, plain.preference, atol=1e-4)
    assert np.abs(plain.preference[0] - plain.preference[1]).max() > 1e-2


def test_swapping_every_pair_learns_the_steer_that_minus_m_gives(toy):
    one, other = (fit(toy("llama"), pairs=pairs, steps=40).intervention for pairs in (PAIRS, PAIRS.swapped()))
    assert torch.cosine_similarity(one.direction, -other.direction, dim=0) > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_steer_and_another_seed_another(toy):
    one, same, other = (fit(toy("llama"), "lora", seed=seed).intervention for seed in (0, 0, 1))
    assert torch.equal(one.up, same.up) and not torch.equal(one.up, other.up)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"dropout": 0.2}, {"recipe": "public"}])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(toy, tmp_path, monkeypatch, more):
    options = {"steps": 20, "evaluate_every": 5, "validation": PAIRS[8:], "accumulate": 2} | more
    whole = fit(toy("llama"), "local_weight", **options)
    calls = []

    def interrupt(loss, losses):
        calls.append(1)
        if len(calls) == 23:
            raise KeyboardInterrupt
        return record(loss, losses)

    from mechsteer.methods import trainer

    record = trainer._record
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer, "_record", interrupt)
        fit(toy("llama"), "local_weight", checkpoint=path, **options)
    resumed = fit(toy("llama"), "local_weight", checkpoint=path, **options)
    for name, value in whole.intervention.parameters.items():
        assert torch.equal(value, resumed.intervention.parameters[name]), name
    assert resumed.history.equals(whole.history)
    with pytest.raises(ms.InputError, match="other settings"):
        fit(toy("llama"), "local_weight", checkpoint=path, **options | {"steps": 21})


def test_patience_stops_and_the_best_state_is_returned(toy):
    trained = fit(
        toy("llama"), steps=400, evaluate_every=2, patience=2, validation=PAIRS[8:].swapped(), learning_rate=0.1
    )
    scores = trained.history.validation.dropna().to_numpy()
    assert len(trained.history) < 400 and np.argmin(scores) == len(scores) - 3


def test_a_loss_that_turns_nan_stops_with_what_to_lower(toy):
    with pytest.raises(ms.InputError, match=r"Lower the learning rate .* multiplier \(now 1e\+10\)"):
        fit(toy("llama"), "local_weight", learning_rate=1e30, multipliers=(1e10,))


def bytes_kept(fitted) -> tuple[ms.Trained, int]:
    """What a training gives, and how much its steps kept for their backward passes."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        return fitted(), sum(sizes)


@pytest.mark.parametrize("site", ["0:resid_mid", "1:resid_post", "1:attn.o", "2:mlp.out", "2:resid_post"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_changes_nothing_but_the_memory(toy, family, site):
    """GPT-2's and OPT's attention drops weights in training mode; the fast engine shortens the last block's MLP."""
    model, settings = toy(family), ms.TrainSettings(steps=3, batch_size=4)
    site = ms.Site.parse(site)
    if site not in all_sites(model):
        pytest.skip(f"{family} has no {site}")
    start = ms.SteeringVector.at(model, site)

    def fitted(enabled: bool) -> ms.Trained:
        how = dataclasses.replace(settings, gradient_checkpointing=enabled)
        return ms.train(model, start, PAIRS, ms.SPLIT(), how, validation=PAIRS[8:], progress=False)

    encoded = ms.encode_pairs(model, PAIRS)
    engine = type(engine_for(model, start, encoded))
    (plain, much), (trained, little) = (bytes_kept(lambda on=on: fitted(on)) for on in (False, True))
    assert_allclose(trained.history, plain.history, atol=1e-6)
    assert_allclose(trained.intervention.direction, plain.intervention.direction, atol=1e-6)
    assert site.layer == 2 or little < much
    assert type(engine_for(model, start, encoded)) is engine and not model.hf.training


@pytest.mark.parametrize("more", [{}, {"independent_multipliers": True, "dropout": 0.3}])
def test_blocks_run_again_in_the_backward_pass_under_the_hooks_of_others(toy, more):
    model, ran, found = toy("llama"), [], []
    for enabled in (False, True):
        with model.hooks([("blocks.2.ln1.hook_in", lambda t, hook, enabled=enabled: ran.append(enabled))]):
            found.append(fit(model, steps=3, gradient_checkpointing=enabled, **more).intervention.direction)
    assert_allclose(*found, atol=1e-6)
    assert ran.count(True) > ran.count(False)


def test_a_site_shows_itself_again_where_only_the_rest_of_its_block_is_computed_again():
    """Hugging Face's own checkpoints begin after the block's entry."""
    seen = []
    (_, enter), (_, leave) = ms.Site(1, "resid_mid").hooks(lambda h, value: seen.append(h))
    enter(torch.ones(1, 2, 3), None)
    for _ in range(2):
        leave(torch.ones(1, 2, 3), None)
    assert torch.equal(*seen) and (seen[0] == 2).all()


def test_texts_that_are_read_one_by_one_are_not_checkpointed(toy):
    with pytest.raises(ms.InputError, match="one by one"), _checkpointing(Plain(toy("llama"), alone=True), True):
        pass


def test_a_bfloat16_model_trains_float32_parameters():
    tok = tokenizer()
    hf = build_hf("llama")
    hf.resize_token_embeddings(len(tok), mean_resizing=False)
    model = ms.load_model(hf.to(torch.bfloat16), tokenizer=tok, device="cpu")
    trained = fit(model, "lora", steps=5)
    assert all(value.dtype == torch.float32 for value in trained.intervention.parameters.values())
    assert trained.history.loss.notna().all()


@pytest.mark.slow
def test_one_learning_rate_serves_activations_of_any_size(toy):
    """A model whose residual stream is a hundred times as large learns as large a relative shift."""
    tok = tokenizer()
    shifts = []
    for scale in (1.0, 100.0):
        hf = build_hf("llama")
        hf.resize_token_embeddings(len(tok), mean_resizing=False)
        with torch.no_grad():
            for layer in hf.model.layers:
                layer.mlp.down_proj.weight.mul_(scale)
                layer.self_attn.o_proj.weight.mul_(scale)
            hf.model.embed_tokens.weight.mul_(scale)
            hf.config.tie_word_embeddings = False
        model = ms.load_model(hf, tokenizer=tok, device="cpu")
        sweep = ms.run_sweep(model, fit(model, steps=30).intervention, PAIRS, [0.0, 1.0], progress=False)
        shifts.append(sweep.relative_shift[1].mean())
    assert 0.5 < shifts[1] / shifts[0] < 2


def test_every_batch_goes_both_ways_and_an_epoch_sees_every_pair_once():
    recipe = ms.Recipe(batch_size=4, multipliers=(0.5, 1.0))
    draws = [Draw.at(3, index, 10, recipe) for index in range(3)]
    assert sorted(torch.cat([draw.pairs for draw in draws]).tolist()) == list(range(10))
    for draw in draws:
        assert abs(int(draw.multipliers[0].sign().sum())) <= 1
        assert torch.equal(*draw.multipliers)
    again = Draw.at(3, 1, 10, recipe)
    assert torch.equal(again.multipliers, draws[1].multipliers)


def test_nulling_out_takes_the_direction_out_where_the_activation_points_along_it(toy):
    model, site = toy("llama"), ms.Site(1, "resid_post")
    vector = random_intervention("vector", site, model)
    batch = ms.TokenBatch(*(torch.ones(2, 6, dtype=kind) for kind in (torch.int64, torch.bool, torch.bool)))
    batch.tokens[:] = torch.arange(5, 11)
    seen = {}

    def residual():
        with torch.no_grad(), model.hooks([(site.hook, lambda t, hook: seen.update(h=t.clone()))]):
            model.logits(batch)
        return seen["h"]

    before = residual()
    with ms.steer(model, dataclasses.replace(vector, rule=ms.ProjectOut()), torch.tensor([1.0, 0.0])):
        after = residual()
    along = before[0] @ vector.direction
    assert_allclose((after[0] @ vector.direction)[along > 0], 0, atol=1e-4)
    assert torch.equal(after[0][along <= 0], before[0][along <= 0])
    assert torch.equal(after[1], before[1])
    assert (along > 0).any() and (along <= 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "one of them"), ({"steps": 0}, "at least one step"), ({"multipliers": (-1.0,)}, "positive sizes"),
        ({"learning_rate": 0.0}, "learning rate"), ({"learning_rate": np.inf}, "learning rate"), ({"dropout": 1.0}, "dropout"),
        ({"pairs": PAIRS[:0]}, "No pairs"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(toy, options, message):
    with pytest.raises(ms.InputError, match=message):
        fit(toy("llama"), **options)


def test_a_gradient_that_is_no_number_reaches_no_steer(toy):
    @dataclasses.dataclass(frozen=True)
    class Steep(ms.Objective):
        name = "steep"

        def __call__(self, losses):
            return (losses.win - losses.win.detach()).abs().sqrt().mean()

    with pytest.raises(ms.InputError, match=r"size of the gradient became nan at step 1\. Lower the learning rate"):
        fit(toy("llama"), objective=Steep())


def test_a_new_objective_is_a_new_class_and_nothing_else(toy):
    @dataclasses.dataclass(frozen=True)
    class Margin(ms.Objective):
        name = "margin"

        def __call__(self, losses):
            return (losses.win - losses.lose).mean()

    assert fit(toy("llama"), objective=Margin()).intervention.origin.method == "margin"
