"""Rules: how m·Δh is applied, against implementations that share nothing with them, and what relative shift means."""

import itertools
import logging
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from conftest import FAMILIES, build_hf, random_batch, random_intervention
from numpy.testing import assert_allclose
from scipy.linalg import expm
from test_engine import GRID, PAIRS
from test_joint import joint

import mechsteer as ms
from mechsteer.engine import Fast, Plain, engine_for
from mechsteer.families import RULES
from mechsteer.interventions.relative_shift import STATISTICS, TokenShifts, statistics
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.methods.learning import learn

RULES_HERE = [RULES.load(name)() for name in RULES.members()]


def moment(value: torch.Tensor, delta: torch.Tensor, m: float) -> ms.Moment:
    """One row of tokens under one strength."""
    steered = torch.ones(1, len(value), dtype=torch.bool)
    return ms.Moment(ms.Site(0, "resid_post"), value[None], value[None], delta[None], torch.tensor([m]), steered)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.3, np.pi / 2, 2.0, np.pi, -0.7])
def test_a_rotation_equals_the_exponential_of_its_generator(angle):
    """exp(angle (ê x̂ᵀ - x̂ êᵀ)) x, by SciPy, in float64."""
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(2, 5, 7))
    shift = ms.Rotate().shift(moment(torch.from_numpy(x), torch.from_numpy(d), angle))[0].numpy()
    for token in range(5):
        unit = x[token] / np.linalg.norm(x[token])
        across = d[token] - (d[token] @ unit) * unit
        across /= np.linalg.norm(across)
        turned = expm(angle * (np.outer(across, unit) - np.outer(unit, across))) @ x[token]
        assert_allclose(x[token] + shift[token], turned, atol=1e-6 if angle > 1 else 1e-7)
        assert_allclose(np.linalg.norm(x[token] + shift[token]), np.linalg.norm(x[token]), rtol=1e-6)


def test_nothing_turns_towards_what_has_no_direction_of_its_own():
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    along = torch.tensor([[0.0], [2.0], [-3.0], [1e-3]]) * x
    assert not ms.Rotate().shift(moment(x, along, 1.0)).any()


@pytest.mark.parametrize("m", [0.5, 1.0, -1.0])
def test_projecting_out_takes_that_share_of_what_points_along_the_delta(m):
    rng = np.random.default_rng(1)
    x, d = rng.normal(size=(2, 9, 6))
    shift = ms.ProjectOut().shift(moment(torch.from_numpy(x), torch.from_numpy(d), m))[0].numpy()
    for token in range(9):
        along = max(0.0, x[token] @ d[token]) / (d[token] @ d[token]) * d[token]
        assert_allclose(shift[token], -m * along, atol=1e-6)
    assert ((x * d).sum(axis=1) > 0).any() and ((x * d).sum(axis=1) < 0).any()


@pytest.mark.parametrize("rule", [ms.ProjectOut(), ms.Rotate()], ids=str)
def test_rules_of_directions_keep_their_digits_in_float16(rule):
    """Whose smallest square is of 2e-4, and whose largest of 256."""
    x, d = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(2))
    for size in (1e-4, 100.0):
        found = rule.shift(moment((size * x).half(), (size * d).half(), 1.0))
        assert found.dtype == torch.float16
        assert_allclose(found.float() / size, rule.shift(moment(x, d, 1.0)), atol=0.02)
    assert not rule.shift(moment(x.half(), torch.zeros_like(d).half(), 1.0)).any()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES_HERE, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_at_strength_zero_every_rule_is_the_base_model_bit_for_bit_at_any_number_of_sites(tiny, family, rule):
    model, batch = tiny(family), random_batch()
    sites = [site for site in ms.all_sites(model) if site.layer == 1]
    with torch.no_grad():
        base = model.logits(batch)
        for n in (1, 2, len(sites)):
            forms = itertools.cycle(["vector", "lora", "local_weight"])
            parts = [random_intervention(next(forms), site, model) for site in sites[:n]]
            huge = ms.join(
                (part.with_parameters({name: p * 1e38 for name, p in part.parameters.items()}) for part in parts),
                rule=rule,
            )
            with ms.steer(model, huge, torch.tensor([0.0, 0.0, 0.0])):
                assert torch.equal(model.logits(batch), base), n
            with ms.steer(model, ms.join(parts, rule=rule), torch.tensor([0.0, 0.4, 0.0])):
                mixed = model.logits(batch)
            assert torch.equal(mixed[[0, 2]], base[[0, 2]]) and not torch.equal(mixed[1], base[1])


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES_HERE[1:], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_fast_engine_gives_the_plain_one_s_numbers_by_every_rule(tiny, family, rule):
    model, positions = tiny(family), itertools.cycle(["all", "completion", "query"])
    for parts in (
        [("vector", "1:resid_post")], [("lora", "1:mlp.out")], [("vector", "0:mlp.out"), ("local_weight", "2:resid_post")],
    ):  # fmt: skip
        steer = replace(joint(model, *parts), rule=rule)
        fast, steered = engine_for(model, steer, PAIRS), next(positions)
        assert isinstance(fast, Fast)
        losses, shifts = Plain(model).sweep(steer, PAIRS, GRID, steered)
        found, found_shifts = fast.sweep(steer, PAIRS, GRID, steered)
        assert_allclose(found, losses, atol=1e-4, err_msg=f"{parts} {steered}")
        assert_allclose(found_shifts, shifts, rtol=2e-3, atol=1e-5, err_msg=f"{parts} {steered}")


def test_a_rotation_in_the_model_keeps_every_norm_and_its_shift_is_not_linear(tiny):
    model, batch = tiny("llama"), random_batch(n_rows=1)
    steer = replace(random_intervention("vector", ms.Site(1, "resid_post"), model), rule=ms.Rotate())
    seen = []
    for m in (0.0, 2.5):
        with (
            torch.no_grad(),
            ms.steer(model, steer, m),
            model.hooks([("blocks.1.hook_out", lambda t, hook: seen.append(t[0].clone()))]),
        ):
            model.logits(batch)
    base, turned = seen
    assert_allclose(turned.norm(dim=1), base.norm(dim=1), rtol=1e-5)
    cosines = torch.nn.functional.cosine_similarity(turned[1:], base[1:], dim=1)
    assert_allclose(cosines, np.full(8, np.cos(2.5)), atol=1e-5)
    sweep = sweep_encoded(model, steer, PAIRS, [0.0, 0.5, 1.0, 3.0])
    assert_allclose(
        sweep.relative_shift[1:], 2 * np.sin(np.array([0.5, 1.0, 3.0]) / 2)[:, None] * np.ones(5), rtol=1e-4
    )


def guestbook_pairs() -> ms.Pairs:
    return ms.load_pairs("guestbook/sentiment").sample(16)


def test_the_range_of_a_rotation_ends_at_half_a_turn(guestbook):
    pairs = guestbook_pairs()
    steer = replace(ms.diff_mean(guestbook, pairs, ms.Site(3, "resid_mid")), rule=ms.Rotate())
    multipliers = ms.find_multipliers(guestbook, steer, pairs, n=9)
    assert len(multipliers) == 9 and 0 in multipliers and 0.1 < np.abs(multipliers).max() <= np.pi
    sweep = ms.run_sweep(guestbook, steer, pairs, multipliers, progress=False)
    preference = sweep.preference.mean(axis=1)
    assert sweep.key.rule == "rotate" and preference[-1] > preference[sweep.zero] > preference[0]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["vector", "lora"])
def test_a_steer_is_learned_by_a_rule_that_speaks_of_directions(guestbook, form):
    """From a delta of zero, of which a rotation can make nothing; the same seed draws the same start."""
    pairs, settings = guestbook_pairs(), ms.TrainSettings(steps=15, multipliers=(0.5, 1.0))
    sites = ms.parse_sites("2:resid_post,3:mlp.out")
    learned, again = (
        learn(guestbook, pairs, sites, "SPLIT", form, settings, rule="rotate", progress=False).intervention
        for _ in range(2)
    )
    assert learned.rule == ms.Rotate()
    for name, value in learned.parameters.items():
        assert torch.equal(value, again.parameters[name]) and value.any()
    preference = ms.run_sweep(guestbook, learned, pairs, [-1.0, 0.0, 1.0], progress=False).preference.mean(axis=1)
    assert preference[2] > preference[1] + 1 and preference[0] < preference[1]


@pytest.mark.parametrize("seed", [0, 2])
def test_reps_finds_the_concept_as_a_vector_that_starts_at_zero(guestbook, seed):
    """Where m < 0 it takes the direction out, and of none there is nothing to take: it starts from one that the seed draws."""
    pairs, sites = guestbook_pairs(), ms.parse_sites("1:resid_mid")
    settings = ms.TrainSettings(steps=60, seed=seed)
    learned = learn(guestbook, pairs, sites, "RePS", "vector", settings, progress=False).intervention
    swept = ms.run_sweep(
        guestbook, learned, pairs, ms.find_multipliers(guestbook, learned, pairs, n=21), progress=False
    )
    assert ms.frontier([swept], n_resamples=1).area > 3


@dataclass(frozen=True)
class Fading(ms.Rule):
    """Each generated token is steered half as much as the one before: a rule with a memory over tokens."""

    is_per_token = False
    name = "fading"
    strength: list[float] = field(default_factory=lambda: [1.0], compare=False)

    def begin(self) -> "Fading":
        return Fading([1.0])

    def shift(self, moment: ms.Moment):
        if bool((moment.position == 0).any()):
            self.strength[0] = 1.0
        else:
            self.strength[0] /= 2
        return moment.m * self.strength[0] * moment.delta


def test_a_rule_may_remember_and_is_then_measured_on_whole_texts(caplog):
    model = ms.load_model(build_hf("llama"), device="cpu")
    steer = replace(random_intervention("vector", ms.Site(1, "resid_post"), model), rule=Fading())
    with caplog.at_level(logging.WARNING):
        assert isinstance(engine_for(model, steer, PAIRS), Plain)
    assert "the rule fading looks beyond single tokens" in caplog.text
    # What is swept is read at once, so nothing has faded.
    added = replace(steer, rule=ms.Add())
    assert_allclose(
        sweep_encoded(model, steer, PAIRS, GRID).loss_positive,
        sweep_encoded(model, added, PAIRS, GRID).loss_positive,
        atol=1e-5,
    )
    prompt = random_batch(n_rows=1)
    prompt = ms.TokenBatch(prompt.tokens, prompt.attention_mask, torch.zeros_like(prompt.attention_mask))
    for _ in range(2):
        with torch.no_grad(), ms.steer(model, steer, 2.0) as audit, model.reading(prompt):
            model.hf.generate(
                input_ids=prompt.tokens, attention_mask=prompt.attention_mask.long(), max_new_tokens=5, do_sample=False,
                use_cache=True, pad_token_id=0, eos_token_id=None,
            )  # fmt: skip
        sizes = [float(part.shift[0, -1]) for part in next(iter(audit.at.values())).seen]
        assert_allclose(sizes, sizes[0] * 0.5 ** np.arange(5), rtol=1e-5)


def test_a_rule_with_a_memory_keeps_it_where_reps_learns_by_it():
    learned_by = ms.RePS().learning_rule(Fading(), "vector")
    assert not learned_by.is_per_token and ms.RePS().learning_rule(ms.Add(), "vector").is_per_token
    above = learned_by.above
    above.strength[0] = 0.25
    assert learned_by.begin().above.strength == [1.0] and above.strength == [0.25]


def test_a_rule_that_nobody_knows_is_refused_with_those_there_are():
    with pytest.raises(ms.InputError, match="The rule 'bend' is unknown. Choose add, project_out, rotate"):
        RULES.load("bend")
    one, other = (ms.SteeringVector(ms.Site(0, "mlp.out"), torch.ones(3)) for _ in range(2))
    with pytest.raises(ms.InputError, match="acts by add cannot be added to one that acts by rotate"):
        one + replace(other, rule=ms.Rotate())


def test_the_relative_shift_of_a_text_leaves_out_its_first_token_and_sinks():
    """Written out again with NumPy, over two texts; the mean is over all that are steered."""
    rng = np.random.default_rng(2)
    texts, expected, means = [], [], []
    for length in (9, 14):
        value, shift = rng.uniform(1, 2, 20), rng.uniform(0, 1, 20)
        value[0], value[4] = 300.0, 60.0  # the first token, and a sink
        steered, begins = np.zeros(20, bool), np.zeros(20, bool)
        steered[:length], begins[0] = True, True
        own = [index for index in range(1, length) if index != 4]
        expected += [shift[index] / value[index] for index in own]
        means.append((shift / value)[:length].mean())
        tensors = (torch.from_numpy(array)[None] for array in (shift, value, steered, begins))
        texts.append(TokenShifts(*tensors))
    found = dict(zip(STATISTICS, statistics(*texts)[:, 0].tolist(), strict=True))
    for name, quantile in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
        assert_allclose(found[name], np.quantile(expected, quantile), rtol=1e-6)
    assert_allclose(found["mean"], np.mean(means), rtol=1e-6)
    nothing = replace(texts[0], steered=torch.zeros(1, 20, dtype=torch.bool))
    assert statistics(nothing).tolist() == [[0.0]] * 4
