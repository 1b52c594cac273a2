"""Several sites steered at once: what edited weights do, in both engines, in training and through files."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import FAMILIES, MORE_FAMILIES, build_hf, random_batch, random_intervention
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file
from test_engine import GRID, PAIRS
from test_steering import as_weights, attention_projection, blocks, down_projection, edit

import mechsteer as ms
from mechsteer.engine import Fast, Plain, engine_for
from mechsteer.interventions.relative_shift import STATISTICS
from mechsteer.measuring.sweeping import sweep_encoded

FORMS = ("vector", "lora", "local_weight")


def joint(model: ms.Model, *parts: tuple[str, str]) -> ms.Intervention:
    """Random shifts of these forms at these sites, small enough together."""
    made = [random_intervention(form, ms.Site.parse(site), model, seed) for seed, (form, site) in enumerate(parts)]
    return ms.join(
        part.with_parameters({name: value / len(parts) for name, value in part.parameters.items()}) for part in made
    )


@pytest.mark.parametrize("n_sites", [2, 3])
@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
def test_several_sites_equal_edited_weights_in_plain_hugging_face(tiny, family, n_sites):
    model, batch, multiplier = tiny(family), random_batch(), -0.7
    sites = ["0:mlp.out", "1:attn.o", "2:mlp.out"][:n_sites]
    for forms in (FORMS, FORMS[1:] + FORMS[:1], FORMS[2:] + FORMS[:2]):
        steer = joint(model, *zip(forms, sites, strict=False))
        hf = build_hf(family)
        for site, shift in steer.shifts.items():
            weight, bias = as_weights(shift, *site.widths(model))
            module = (down_projection if site.place == "mlp.out" else attention_projection)(hf, family, site.layer)
            edit(module, multiplier * weight, multiplier * bias)
        with torch.no_grad(), ms.steer(model, steer, multiplier, torch.ones_like(batch.attention_mask)):
            steered = model.logits(batch)
        for row, present in enumerate(batch.attention_mask):
            with torch.no_grad():
                expected = hf(input_ids=batch.tokens[row][present][None]).logits[0]
            assert_allclose(steered[row][present], expected, atol=1e-5, rtol=1e-4, err_msg=str(forms))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "neox"])
def test_what_leaves_a_block_is_shifted_beside_it_and_then_after_it(tiny, family):
    """`mlp.bypass` and `resid_post` of one layer: the second reads what the first has made."""
    model, batch, m = tiny(family), random_batch(n_rows=1), 0.8
    steer = joint(model, ("lora", "1:mlp.bypass"), ("local_weight", "1:resid_post"))
    beside, after = steer.shifts.values()
    hf, read = build_hf(family), []
    down_projection(hf, family, 1).register_forward_pre_hook(lambda module, args: read.append(args[0]))

    def leave(module, args, output):
        residual, *rest = output if isinstance(output, tuple) else (output,)
        residual = residual + m * beside.delta(read.pop())
        residual = residual + m * after.delta(residual)
        return (residual, *rest) if isinstance(output, tuple) else residual

    blocks(hf, family)[1].register_forward_hook(leave)
    with torch.no_grad(), ms.steer(model, steer, m, torch.ones_like(batch.attention_mask)):
        assert_allclose(model.logits(batch), hf(input_ids=batch.tokens).logits, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_shift_beside_the_block_passes_the_norm_after_the_mlp_by_and_else_is_one_of_the_mlp(tiny, family, form):
    model, batch = tiny(family), random_batch()
    beside = random_intervention(form, ms.Site(1, "mlp.bypass"), model)
    within = replace(beside, site=ms.Site(1, "mlp.out"))

    def steered(steer: ms.Intervention) -> np.ndarray:
        with torch.no_grad(), ms.steer(model, steer, 0.5):
            return model.logits(batch).numpy()

    difference = np.abs(steered(beside) - steered(within)).max()
    assert difference > 1e-2 if family in ("gemma2", "gemma3") else difference < 2e-5


SEVERAL = (
    (("vector", "0:mlp.out"), ("lora", "1:attn.o"), ("local_weight", "2:resid_post")),
    (("local_weight", "1:attn.o"), ("vector", "1:mlp.out")),
    (("lora", "1:mlp.bypass"), ("vector", "2:mlp.out")),
    (("vector", "0:resid_pre"), ("vector", "2:mlp.bypass")),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fast_engine_gives_the_plain_one_s_numbers_at_several_sites(tiny, family):
    """Losses, and at every site the median relative shift, its quantiles and its mean."""
    model, positions = tiny(family), itertools.cycle(["all", "completion", "query"])
    for parts in SEVERAL:
        steer = joint(model, *parts)
        fast = engine_for(model, steer, PAIRS)
        assert isinstance(fast, Fast)
        for steered in (next(positions), next(positions)):
            losses, shifts = Plain(model).sweep(steer, PAIRS, GRID, steered)
            assert shifts.shape == (len(parts), len(STATISTICS), len(GRID), len(PAIRS))
            for batch_tokens in (1, 10_000):
                found, found_shifts = fast.sweep(steer, PAIRS, GRID, steered, batch_tokens=batch_tokens)
                assert_allclose(found, losses, atol=1e-4, err_msg=f"{parts} {steered}")
                assert_allclose(found_shifts, shifts, rtol=1e-3, atol=1e-6, err_msg=f"{parts} {steered}")
            assert (shifts[:, :, GRID == 0] == 0).all() and (shifts[:, 1, 0] > 0).any()


@pytest.mark.parametrize("family", ["llama", "gemma2", "neox"])
def test_activations_under_several_sites_are_those_of_whole_texts(tiny, family):
    model = tiny(family)
    steer = joint(model, ("vector", "0:mlp.out"), ("lora", "1:mlp.out"))
    sites = [ms.Site(0, "mlp.out"), ms.Site(1, "mlp.out"), ms.Site(2, "resid_post")]
    tokens = np.array([(0, 0, 3), (1, 1, 4), (2, 0, 2), (4, 1, 5)])
    expected = Plain(model).activations(steer, PAIRS, GRID, "all", sites, tokens)
    found = engine_for(model, steer, PAIRS).activations(steer, PAIRS, GRID, "all", sites, tokens)
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt", "neox"])
def test_gradients_reach_the_tensors_of_every_site(tiny, family):
    """By the fast engine in float32 as by whole texts in float64, one pair at a time."""
    model, exact = tiny(family), ms.load_model(build_hf(family, dtype=torch.float64), device="cpu")
    start = joint(model, ("vector", "0:mlp.out"), ("lora", "1:attn.o"), ("local_weight", "2:mlp.bypass"))
    multipliers, gradients = torch.tensor([0.5, -0.7, 0.3, -0.2, 1.0]), []
    for engine, groups in (
        (Plain(exact), [[i] for i in range(5)]),
        (engine_for(model, start, PAIRS), [list(range(5))]),
    ):
        dtype = engine.model.dtype
        free = {name: value.to(dtype, copy=True).requires_grad_() for name, value in start.parameters.items()}
        for some in groups:
            pairs = [PAIRS[index] for index in some]
            prefixes = engine.prefixes(pairs, start.sites[0])
            with engine.losses(
                start.with_parameters(free), pairs, multipliers[some], "all", prefixes=prefixes
            ) as losses:
                (losses * torch.tensor([[1.0], [-0.6]])).sum().backward()
        gradients.append({name: value.grad.double() for name, value in free.items()})
    truth, found = gradients
    assert found.keys() == {
        "0:mlp.out.direction", "1:attn.o.down", "1:attn.o.up", "2:mlp.bypass.weight", "2:mlp.bypass.bias",
    }  # fmt: skip
    for name, value in found.items():
        assert (value - truth[name]).norm() <= 1e-5 * truth[name].norm(), name


def test_steered_generation_with_a_cache_equals_that_without(tiny):
    model = tiny("llama")
    steer = joint(model, ("vector", "0:resid_post"), ("lora", "2:mlp.out"))
    prompt = random_batch(n_rows=2, side="left")
    prompt = ms.TokenBatch(prompt.tokens, prompt.attention_mask, torch.zeros_like(prompt.attention_mask))
    written = []
    for use_cache in (True, False):
        with torch.no_grad(), ms.steer(model, steer, 2.0) as audit, model.reading(prompt):
            written.append(
                model.hf.generate(
                    input_ids=prompt.tokens, attention_mask=prompt.attention_mask.long(), max_new_tokens=6, do_sample=False,
                    use_cache=use_cache, pad_token_id=0, eos_token_id=None,
                )
            )  # fmt: skip
        assert [one.n_forwards for one in audit.at.values()] == [6, 6]
    assert torch.equal(*written)


def test_the_audit_tells_of_every_site_and_first_of_the_one_that_is_shifted_most(tiny):
    model, batch = tiny("llama"), random_batch()
    parts = [random_intervention("vector", ms.Site(layer, "resid_post"), model) for layer in (0, 1)]
    steer = ms.join([0.1 * parts[0], 3.0 * parts[1]])
    with torch.no_grad(), ms.steer(model, steer, 1.0) as audit:
        model.logits(batch)
    small, large = audit.at.values()
    assert audit.largest is large and small.median_relative_shift < large.median_relative_shift
    assert_allclose(audit.last, large.last)
    assert "blocks.0.hook_out" in str(audit) and "blocks.1.hook_out" in str(audit)


def test_a_sweep_of_several_sites_keeps_each_one_s_shift_and_survives_a_file(tiny, tmp_path):
    model = tiny("llama")
    steer = joint(model, ("vector", "0:mlp.out"), ("vector", "2:resid_post"))
    sweep = sweep_encoded(model, steer, PAIRS, GRID)
    assert sweep.key.sites == "0:mlp.out,2:resid_post" and [str(site) for site in sweep.sites] == [
        "0:mlp.out",
        "2:resid_post",
    ]
    assert_array_equal(sweep.relative_shift, sweep.site_shifts.max(axis=0))
    again = ms.Sweep.load(sweep.save(tmp_path / "sweep.parquet"))
    for name in ("relative_shift", "relative_shift_low", "relative_shift_mean", "site_shifts", "loss_positive"):
        assert_array_equal(getattr(again, name), getattr(sweep, name))


@pytest.mark.slow
def test_several_sites_are_learned_together_and_kept_in_a_file(tmp_path, stories, shared):
    """What both learn moves preference further than what the first has learned alone."""
    pairs = ms.load_pairs(shared / "data" / "mood.jsonl") if (shared / "data" / "mood.jsonl").is_file() else None
    pairs = pairs or ms.load_pairs("guestbook/sentiment").sample(40)
    sites = ms.parse_sites("3:mlp.out,1:mlp.out")
    assert [site.layer for site in sites] == [1, 3]
    start = ms.join(
        [ms.LoRA.init(site, *site.widths(stories), generator=torch.Generator().manual_seed(0)) for site in sites]
    )
    learned = ms.train(stories, start, pairs, ms.SPLIT(), ms.TrainSettings(steps=20), progress=False).intervention
    assert all(shift.up.abs().max() > 0 for shift in learned.shifts.values())
    first, last = (
        ms.run_sweep(stories, steer, pairs, [-1.0, 0.0, 1.0], progress=False).preference.mean(axis=1)
        for steer in (start, learned)
    )
    assert_allclose(first, first[1], atol=1e-4)
    assert last[0] < last[1] < last[2] and last[2] - last[0] > 1
    path = learned.save(tmp_path / "steer.safetensors")
    again = ms.load_intervention(path, stories)
    assert again.sites == learned.sites and again.origin == learned.origin and again.form == "lora"
    for name, value in learned.parameters.items():
        assert torch.equal(again.parameters[name], value)
    assert path.read_bytes() == again.save(tmp_path / "again.safetensors").read_bytes()


@pytest.mark.parametrize("format", ["mechsteer", "peft"])
def test_one_tensor_at_several_sites_survives_a_file(tmp_path, tiny, format):
    down, up = torch.ones(2, 48), torch.ones(32, 2)
    steer = ms.join([ms.LoRA(site, down, up) for site in ("0:mlp.out", "2:mlp.out")])
    path = tmp_path / ("steer.safetensors" if format == "mechsteer" else "adapter")
    ms.export(steer, path, format, model=tiny("llama"))
    again = ms.load_intervention(path)
    assert again.sites == steer.sites
    for site, shift in again.shifts.items():
        assert torch.equal(shift.delta(torch.ones(1, 48)), steer.shifts[site].delta(torch.ones(1, 48)))


def test_a_rule_survives_a_file_and_a_file_of_the_first_version_opens(tmp_path, tiny):
    vector = replace(random_intervention("vector", ms.Site(1, "resid_post"), tiny("llama")), rule=ms.Rotate())
    assert ms.load_intervention(vector.save(tmp_path / "rotate.safetensors")).rule == ms.Rotate()
    metadata = {
        "format": "mechsteer intervention 1", "form": "lora", "site": "2:mlp.out",
        "origin": json.dumps({"method": "SPLIT", "seed": 3}),
    }  # fmt: skip
    old = tmp_path / "old.safetensors"
    save_file({"down": torch.ones(2, 48), "up": torch.ones(32, 2)}, old, metadata)
    found = ms.load_intervention(old)
    assert isinstance(found, ms.LoRA) and found.site == ms.Site(2, "mlp.out") and found.rule == ms.Add()
    assert found.origin.seed == 3 and found.name == "SPLIT lora 2:mlp.out seed 3"


def test_what_cannot_be_joined_is_refused_in_one_sentence(tiny):
    model = tiny("llama")
    one, other = (random_intervention("vector", ms.Site(layer, "resid_post"), model) for layer in (0, 1))
    with pytest.raises(ms.InputError, match="Two shifts came for the site 0:resid_post"):
        ms.join([one, one])
    with pytest.raises(ms.InputError, match="The rules differ: add, rotate"):
        ms.join([one, replace(other, rule=ms.Rotate())])
    with pytest.raises(ms.InputError, match="made for different models"):
        ms.join(
            [replace(part, origin=ms.Origin(model=name, fingerprint=name)) for part, name in ((one, "a"), (other, "b"))]
        )
    with pytest.raises(ms.InputError, match="different positions: all, completion"):
        ms.join([one, replace(other, origin=ms.Origin(positions="completion"))])
    with pytest.raises(ms.InputError, match="No shift came"):
        ms.join([])
    with pytest.raises(ms.InputError, match="0:mlp.out came twice"):
        ms.parse_sites("0:mlp.out, 0:mlp.out")
    with (
        pytest.raises(ms.InputError, match="the site 1:resid_post of .* has width 32"),
        ms.steer(model, ms.join([one, ms.SteeringVector(ms.Site(1, "resid_post"), torch.ones(7))]), 1.0),
    ):
        pass
