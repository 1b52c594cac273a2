"""Families of many kinds against plain Hugging Face with torch hooks: what is measured and written is right."""

import logging
import sys
from pathlib import Path

import pytest
import torch
from conftest import build_hf, random_batch
from transformers import GenerationConfig

import mechsteer as ms
from mechsteer.measuring.ways import WAYS, Way, way_for

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from architectures import PROMPTS, judged, look_at  # noqa: E402
from families import families  # noqa: E402

FAST = ("cohere2", "gemma3", "granitemoe", "lfm2")
PLAIN = (
    "falcon_h1",
    "gpt_neo",
    "llama4_text",
    "mamba",
    "modernbert-decoder",
    "qwen3_next",
    "recurrent_gemma",
    "rwkv",
)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAST + PLAIN)
def test_sweeps_gradients_and_writing_are_those_of_hugging_face(family, monkeypatch):
    """Losses and texts in float32 and bfloat16, gradients in float32; families that the fast engine cannot serve say why."""
    # The first is written on the prompt, the next ones on what was kept of it; positions are told apart below, on three families.
    monkeypatch.setattr("architectures.POSITIONS", ("all", "completion"))
    monkeypatch.setattr("architectures.N_WRITTEN", 3)
    monkeypatch.setattr("architectures.GRID", (-0.7, 0.0))
    row = look_at(family)
    assert row.verdict == "right", row
    assert (row.cells[0] == "fast") == (family in FAST), row
    assert ("is measured by whole texts" in row.why) == (family in PLAIN), row


@pytest.mark.parametrize("family", ["deepseek_v4", "hrm_text", "qwen3_5"])
def test_a_family_that_cannot_be_steered_is_refused_in_a_sentence(family):
    row = look_at(family)
    assert row.verdict == "refused" and row.why.count("\n") == 0 and row.why.endswith("."), row


def test_the_table_is_over_a_hundred_families():
    assert len(families()) > 100


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["all", "completion", "query"])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "opt"])
def test_whichever_way_steered_writing_is_choosing_the_best_token_step_by_step(family, way, positions):
    """Each prompt under a multiplier of its own; the judge has a torch hook, no cache, and one text at a time."""
    from mechsteer.models.model import pad_batch

    model, judge, steer = judged(family, torch.float32)
    batch = pad_batch([(prompt, len(prompt)) for prompt in PROMPTS], model.padding_token, side="left")
    multipliers = torch.tensor([-1.0, 0.5, 1.5])
    settings = GenerationConfig(max_new_tokens=5, do_sample=False, pad_token_id=1, eos_token_id=None)
    with ms.steer(model, steer, multipliers, positions):
        written = way.write(model, batch, settings)
    rows = [row[-5:] for part in written for row in part.sequences.tolist()]
    for prompt, multiplier, found in zip(PROMPTS, multipliers, rows, strict=True):
        text = list(prompt)
        for _ in range(5):
            with torch.no_grad():
                text.append(int(judge.log_probabilities(text, multiplier, len(prompt), positions)[-1].argmax()))
        assert found == text[-5:]


def test_the_way_is_chosen_on_the_model_without_anybodys_hooks(caplog):
    """A steer that is at work, and its audit, see nothing of the trial; they act again after it."""
    model, _, steer = judged("qwen3_next", torch.float32)
    seen = []
    with caplog.at_level(logging.WARNING), model.hooks([("blocks.0.hook_out", lambda t, hook: seen.append(1))]):
        for _ in range(2):
            with ms.steer(model, steer, 1.0) as audit:
                assert way_for(model, [PROMPTS[0]], 3) == Way(with_cache=False)
                assert not seen and audit.at[steer.sites[0]].n_forwards == 0
    assert caplog.text.count("writes without a cache") == 1
    with ms.steer(model, steer, 1.0) as audit:
        ms.generate(model, "<0> <5> <6>", max_new_tokens=3, temperature=0)
    assert audit.at[steer.sites[0]].n_forwards == 3


def test_attention_step_by_step_is_compared_and_refused_where_it_differs(monkeypatch):
    from mechsteer.models import bridging

    batch = random_batch()
    with torch.no_grad():
        native, eager = (
            ms.load_model(build_hf("gemma2"), attention=kind).logits(batch) for kind in ("native", "eager")
        )
    assert torch.allclose(native[batch.attention_mask], eager[batch.attention_mask], atol=1e-5)
    build = bridging.build_bridge_from_module

    def wrong(hf, **options):
        """As if its attention said half as much again, once it is taken apart."""
        bridge = build(hf, **options)
        with torch.no_grad():
            hf.model.layers[1].self_attn.o_proj.weight.mul_(1.5)
        return bridge

    monkeypatch.setattr(bridging, "build_bridge_from_module", wrong)
    with pytest.raises(ms.InputError, match="gives other numbers"):
        ms.load_model(build_hf("llama", dtype=torch.bfloat16), attention="eager")
