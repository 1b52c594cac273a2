"""Steering is adding m·Δh, and nothing else, and only inside its block."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import FAMILIES, build_hf, random_batch, random_intervention
from numpy.testing import assert_allclose

import mechsteer as ms
from mechsteer.models.hooks import PLACES

FORMS = ("vector", "lora", "local_weight")


def down_projection(hf, family: str, layer: int) -> torch.nn.Module:
    block = blocks(hf, family)[layer]
    if family == "opt":
        return block.fc2
    return {"gpt2": "c_proj", "neox": "dense_4h_to_h"}.get(family, "down_proj") and getattr(
        block.mlp, {"gpt2": "c_proj", "neox": "dense_4h_to_h"}.get(family, "down_proj")
    )


def attention_projection(hf, family: str, layer: int) -> torch.nn.Module:
    block = blocks(hf, family)[layer]
    attention = {"gpt2": "attn", "neox": "attention"}.get(family, "self_attn")
    return getattr(
        getattr(block, attention), {"gpt2": "c_proj", "neox": "dense", "opt": "out_proj"}.get(family, "o_proj")
    )


def blocks(hf, family: str):
    if family == "gpt2":
        return hf.transformer.h
    if family == "neox":
        return hf.gpt_neox.layers
    return hf.model.decoder.layers if family == "opt" else hf.model.layers


def edit(module: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Add to the weights themselves: [out in] in a Linear, transposed in GPT-2's Conv1D."""
    with torch.no_grad():
        module.weight.add_(weight if isinstance(module, torch.nn.Linear) else weight.T)
        module.bias = torch.nn.Parameter(bias if module.bias is None else module.bias + bias)


def as_weights(intervention: ms.Intervention, d_in: int, d_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = torch.zeros(d_out, d_in), torch.zeros(d_out)
    if isinstance(intervention, ms.SteeringVector):
        return weight, intervention.direction
    if isinstance(intervention, ms.LoRA):
        return intervention.up @ intervention.down, bias
    return intervention.weight, intervention.bias


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["mlp.out", "attn.o"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_agree_with_editing_the_weights(tiny, family, place, form):
    model, batch, site, multiplier = tiny(family), random_batch(), ms.Site(1, place), -0.7
    intervention = random_intervention(form, site, model)
    weight, bias = as_weights(intervention, *site.widths(model))
    hf = build_hf(family)
    edit(
        (down_projection if place == "mlp.out" else attention_projection)(hf, family, 1),
        multiplier * weight,
        multiplier * bias,
    )
    # Edited weights act on every token, BOS and padding included.
    with torch.no_grad(), ms.steer(model, intervention, multiplier, torch.ones_like(batch.attention_mask)):
        steered = model.logits(batch)
    for row, present in enumerate(batch.attention_mask):
        with torch.no_grad():
            expected = hf(input_ids=batch.tokens[row][present][None]).logits[0]
        assert_allclose(steered[row][present], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["resid_pre", "resid_mid", "resid_post"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_steering_the_residual_agrees_with_raw_torch_hooks(tiny, family, place, form):
    model, batch, site, multiplier = tiny(family), random_batch(n_rows=1), ms.Site(1, place), 0.8
    intervention = random_intervention(form, site, model)
    hf = build_hf(family)
    block = blocks(hf, family)[1]

    def shifted(h):
        return h + multiplier * intervention.delta(h)

    if place == "resid_pre":
        block.register_forward_pre_hook(
            lambda m, args, kwargs: ((shifted(args[0]), *args[1:]), kwargs), with_kwargs=True
        )
    elif place == "resid_post":
        block.register_forward_hook(
            lambda m, args, out: (shifted(out[0]), *out[1:]) if isinstance(out, tuple) else shifted(out)
        )
    else:
        entering = {}
        block.register_forward_pre_hook(lambda m, args: entering.update(h=args[0]))
        branch = {"gpt2": "attn", "gemma2": "post_attention_layernorm"}.get(family, "self_attn")

        def shift_branch(m, args, out):
            first = out[0] if isinstance(out, tuple) else out
            first = shifted(entering["h"] + first) - entering["h"]
            return (first, *out[1:]) if isinstance(out, tuple) else first

        getattr(block, branch).register_forward_hook(shift_branch)
    with torch.no_grad():
        expected = hf(input_ids=batch.tokens).logits
        with ms.steer(model, intervention, multiplier, torch.ones_like(batch.attention_mask)):
            assert_allclose(model.logits(batch), expected, atol=2e-5, rtol=1e-4)


def test_a_shift_of_resid_mid_stays_in_the_residual_stream(tiny):
    """TransformerLens's hook_resid_mid is the input of the second norm: what is added there reaches the MLP only."""
    model, batch = tiny("llama"), random_batch(n_rows=1)
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))

    def leaving():
        seen = []
        with torch.no_grad(), model.hooks([("blocks.1.hook_out", lambda t, hook: seen.append(t.clone()))]):
            model.logits(batch)
        return seen[0]

    base = leaving()
    with ms.steer(model, ms.SteeringVector(ms.Site(1, "resid_mid"), 1000 * direction), 1.0):
        steered = leaving()
    with model.hooks([("blocks.1.hook_resid_mid", lambda t, hook: t + 1000 * direction)]):
        beside = leaving()
    assert_allclose((steered - base)[0, 1:], (1000 * direction).expand(8, -1), rtol=0.1, atol=50)
    assert (beside - base).norm() < 0.1 * (steered - base).norm()


@pytest.mark.parametrize("place", PLACES)
def test_a_lora_is_a_local_weight_of_low_rank_and_a_vector_one_without_weight(tiny, place):
    model, batch, site = tiny("llama"), random_batch(), ms.Site(2, place)

    def steered(intervention):
        with torch.no_grad(), ms.steer(model, intervention, 1.5):
            return model.logits(batch)

    for form in ("lora", "vector"):
        intervention = random_intervention(form, site, model)
        as_local_weight = ms.LocalWeight(site, *as_weights(intervention, *site.widths(model)))
        assert_allclose(steered(intervention), steered(as_local_weight), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_at_multiplier_zero_the_model_is_the_base_model_bit_for_bit(tiny, family, form):
    model, batch = tiny(family), random_batch()
    with torch.no_grad():
        base = model.logits(batch)
        for site in [s for s in ms.all_sites(model) if s.layer == 1]:
            intervention = random_intervention(form, site, model)
            huge = intervention.with_parameters({n: p * 1e38 for n, p in intervention.parameters.items()})
            with ms.steer(model, huge, 0.0):
                assert torch.equal(model.logits(batch), base), site


def test_nothing_outlives_the_block_even_after_an_error(tiny):
    model, batch = tiny("gpt2"), random_batch()
    vector = random_intervention("vector", ms.Site(1, "resid_post"), model)
    with torch.no_grad():
        base = model.logits(batch)
        with pytest.raises(KeyboardInterrupt), ms.steer(model, vector, 3.0):
            assert not torch.equal(model.logits(batch), base)
            raise KeyboardInterrupt
        assert torch.equal(model.logits(batch), base)
    assert not model.hf._forward_pre_hooks and not any(p.fwd_hooks for p in model.bridge.hook_dict.values())


def test_steers_nest_and_vectors_of_one_site_add_up(tiny):
    model, batch, site = tiny("llama"), random_batch(), ms.Site(1, "resid_post")
    one, two = (random_intervention("vector", site, model, seed) for seed in (0, 1))
    with torch.no_grad():
        with ms.steer(model, one, 2.0), ms.steer(model, two, -1.0):
            nested = model.logits(batch)
        with ms.steer(model, 2.0 * one - two, 1.0):
            assert_allclose(model.logits(batch), nested, atol=1e-5)


def test_a_sum_of_vectors_is_used_as_its_parts_are(tiny):
    """And what differs in its numbers alone differs in its key."""
    model, site = tiny("llama"), ms.Site(1, "resid_post")
    origin = ms.Origin(method="DiffMean", positions="completion", prompt_format="chat")
    one, two = (replace(random_intervention("vector", site, model, seed), origin=origin) for seed in (0, 1))
    for made in (-one, 2 * one, one + two, one - two):
        assert (made.origin.positions, made.origin.prompt_format) == ("completion", "chat")
    with pytest.raises(ms.InputError, match="different prompt_format: chat and raw"):
        one + replace(two, origin=replace(origin, prompt_format="raw"))
    with pytest.raises(ms.InputError, match="different positions: completion and all"):
        one - replace(two, origin=replace(origin, positions="all"))
    assert len({steer.id for steer in (one, two, one.scaled(2), 2 * one, 2 * two, one + two)}) == 6
    of_study = replace(one, origin=replace(origin, unit="ab" * 32))
    assert of_study.id == "ab" * 8 and of_study.scaled(2).id == one.scaled(2).id


def test_a_multiplier_for_each_row_equals_steering_the_rows_one_by_one(tiny):
    model, batch = tiny("llama"), random_batch()
    vector = random_intervention("vector", ms.Site(0, "mlp.out"), model)
    multipliers = torch.tensor([-1.0, 0.0, 2.5])
    with torch.no_grad():
        with ms.steer(model, vector, multipliers):
            together = model.logits(batch)
        for row, multiplier in enumerate(multipliers):
            with ms.steer(model, vector, float(multiplier)):
                assert_allclose(together[row], model.logits(batch)[row], atol=1e-6)
    with (
        pytest.raises(ms.InputError, match="3 multipliers came for a batch of 2"),
        ms.steer(model, vector, multipliers),
    ):
        model.logits(random_batch(n_rows=2))


def test_positions_say_which_tokens_are_steered(tiny):
    model, batch, site = tiny("llama"), random_batch(side="left"), ms.Site(1, "resid_post")
    vector = ms.SteeringVector(site, torch.ones(model.d_model))
    seen = {}

    def residual():
        with torch.no_grad(), model.hooks([(site.hook, lambda t, hook: seen.update(h=t.clone()))]):
            model.logits(batch)
        return seen["h"]

    base = residual()
    bos = torch.zeros_like(batch.attention_mask)
    bos[torch.arange(3), batch.attention_mask.int().argmax(1)] = True
    mask = torch.zeros_like(bos)
    mask[:, -2] = True
    expected = {
        "all": batch.attention_mask & ~bos,
        "completion": batch.completion_mask,
        "query": batch.attention_mask & ~batch.completion_mask & ~bos,
    }
    for positions, where in [*expected.items(), (mask, mask)]:
        with ms.steer(model, vector, 3.0, positions) as audit:
            moved = (residual() - base).abs().sum(-1) > 1e-3
        assert torch.equal(moved, where), positions
        assert audit.n_positions == where.sum() and audit.n_forwards == 1


def test_the_audit_tells_the_size_of_the_shift(tiny):
    model, batch, site = tiny("llama"), random_batch(), ms.Site(1, "resid_post")
    vector = random_intervention("vector", site, model)
    h = []
    with torch.no_grad(), model.hooks([(site.hook, lambda t, hook: h.append(t.clone()))]):
        model.logits(batch)
    with torch.no_grad(), ms.steer(model, vector, -2.0, "completion") as audit:
        model.logits(batch)
    ratio = (2 * vector.direction.norm() / h[0].norm(dim=-1)) * batch.completion_mask
    medians = [np.median(row[own].numpy()) for row, own in zip(ratio, batch.completion_mask, strict=True)]
    assert_allclose(audit.last, medians, rtol=1e-5)
    assert_allclose(audit.mean_relative_shift, ratio.sum() / batch.completion_mask.sum(), rtol=1e-5)
    assert_allclose(audit.max_relative_shift, ratio.max(), rtol=1e-5)
    assert "blocks.1.hook_out" in str(audit) and "1 forwards" in str(audit)


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("positions", ["all", "completion", "query"])
@pytest.mark.parametrize(
    ("family", "n_rows"), [("llama", 2), ("llama", 1), ("gpt2", 2), ("gemma3", 2), ("gemma3", 1), ("opt", 2)]
)
def test_steered_generation_equals_choosing_the_best_token_step_by_step(tiny, family, n_rows, positions, use_cache):
    """One row alone has no padding, and then `generate` passes no mask."""
    model = tiny(family)
    vector = random_intervention("vector", ms.Site(1, "resid_post"), model)
    prompt = random_batch(n_rows=n_rows, side="left")
    prompt = ms.TokenBatch(prompt.tokens, prompt.attention_mask, torch.zeros_like(prompt.attention_mask))
    with torch.no_grad(), ms.steer(model, vector, 2.0, positions), model.reading(prompt):
        generated = model.hf.generate(
            input_ids=prompt.tokens, attention_mask=prompt.attention_mask.long(), max_new_tokens=6, do_sample=False,
            use_cache=use_cache, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
    step = copy.copy(prompt)
    for _ in range(6):
        with torch.no_grad(), ms.steer(model, vector, 2.0, positions):
            best = model.logits(step)[:, -1:].argmax(-1)
        yes = torch.ones_like(best, dtype=torch.bool)
        step = ms.TokenBatch(
            *(
                torch.cat(pair, 1)
                for pair in ((step.tokens, best), (step.attention_mask, yes), (step.completion_mask, yes))
            )
        )
    assert torch.equal(generated, step.tokens)


def test_gradients_through_the_steer_equal_those_through_edited_weights(tiny):
    model, batch, site = tiny("gemma2"), random_batch(n_rows=1), ms.Site(1, "mlp.out")
    given = random_intervention("local_weight", site, model)
    parameters = {name: value.clone().requires_grad_() for name, value in given.parameters.items()}
    with ms.steer(model, given.with_parameters(parameters), 0.5, torch.ones_like(batch.attention_mask)):
        loss, _ = ms.completion_losses(model, batch)
    loss.sum().backward()
    hf = build_hf("gemma2")
    edit(down_projection(hf, "gemma2", 1), 0.5 * given.weight, 0.5 * given.bias)
    logits = hf(input_ids=batch.tokens).logits.log_softmax(-1)[:, :-1]
    nll = -logits.gather(-1, batch.tokens[:, 1:, None])[..., 0][batch.completion_mask[:, 1:]].sum()
    nll.backward()
    module = down_projection(hf, "gemma2", 1)
    assert_allclose(parameters["weight"].grad, 0.5 * module.weight.grad, rtol=1e-4, atol=1e-6)
    assert_allclose(parameters["bias"].grad, 0.5 * module.bias.grad, rtol=1e-4, atol=1e-6)


def test_a_bfloat16_model_is_steered_by_float32_parameters():
    model = ms.load_model(build_hf("llama", dtype=torch.bfloat16))
    for form in FORMS:
        intervention = random_intervention(form, ms.Site(1, "mlp.out"), model)
        with torch.no_grad(), ms.steer(model, intervention, 1.0):
            assert model.logits(random_batch()).dtype == torch.bfloat16


def test_what_cannot_be_steered_is_refused_in_one_sentence(tiny):
    model = tiny("llama")
    site = ms.Site(1, "resid_post")
    vector = random_intervention("vector", site, model)
    with (
        pytest.raises(ms.InputError, match="has width 7, but"),
        ms.steer(model, ms.SteeringVector(site, torch.ones(7)), 1),
    ):
        pass
    with pytest.raises(ms.InputError, match="`positions` 'middle'"), ms.steer(model, vector, 1, "middle"):
        pass
    with pytest.raises(ms.InputError, match="did not say"), ms.steer(model, vector, 1, "completion"):
        model.hf(input_ids=torch.tensor([[1, 5, 6]]))
    with pytest.raises(ms.InputError, match="without input_ids"), ms.steer(model, vector, 1):
        model.hf(inputs_embeds=torch.zeros(1, 3, model.d_model))
