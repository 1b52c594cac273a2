"""Completion losses: those of plain Hugging Face, one text at a time."""

import pytest
import torch
from conftest import FAMILIES, build_hf, random_batch
from numpy.testing import assert_allclose

import mechsteer as ms
from mechsteer.engine.losses import batches, pair_texts


def plain_loss(hf, ids: list[int], begin: int) -> float:
    with torch.no_grad():
        log_probabilities = hf(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return -sum(float(log_probabilities[at - 1, ids[at]]) for at in range(begin, len(ids)))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_equal_plain_hugging_face_whatever_the_padding(tiny, family, side):
    batch, hf = random_batch(side=side), build_hf(family)
    with torch.no_grad():
        losses, n_tokens = ms.completion_losses(tiny(family), batch)
    for row, present in enumerate(batch.attention_mask):
        ids, completion = batch.tokens[row][present].tolist(), batch.completion_mask[row][present]
        assert_allclose(losses[row], plain_loss(hf, ids, int(completion.int().argmax())), atol=1e-4)
        assert n_tokens[row] == completion.sum()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_losses_of_real_pairs_do_not_depend_on_the_batch(stories, shared, batch_size):
    from transformers import AutoModelForCausalLM

    hf = AutoModelForCausalLM.from_pretrained(shared / "models" / "stories260K")
    texts = pair_texts(ms.encode_pairs(stories, ms.load_pairs(shared / "data/story_mood/validation.jsonl")[:6]))
    measured = {}
    for item in batches(texts, batch_size, stories.padding_token):
        with torch.no_grad():
            losses, _ = ms.completion_losses(stories, item.batch)
        measured |= dict(zip(item.rows, losses.tolist(), strict=True))
    assert_allclose(
        [measured[row] for row in range(12)], [plain_loss(hf, list(ids), begin) for ids, begin in texts], atol=1e-4
    )


@pytest.mark.slow
def test_the_figures_known_for_the_real_data_come_out(stories, shared):
    """NLL per token and mean log-odds of four files, as measured by others with plain Hugging Face."""
    known = {
        "story_mood/train": (1.707, 1.711, 0.82, 3.27),
        "story_mood/validation": (1.779, 1.788, 0.56, 3.48),
        "story_outdoors/validation": (1.722, 1.743, 0.19, 2.81),
    }
    for name, (nll_positive, nll_negative, mean, deviation) in known.items():
        pairs = ms.load_pairs(shared / "data" / f"{name}.jsonl")
        zero = ms.SteeringVector(ms.Site(0, "resid_post"), torch.zeros(stories.d_model))
        sweep = ms.run_sweep(stories, zero, pairs, [0.0], progress=False)
        assert_allclose((sweep.loss_positive[0] / sweep.tokens_positive).mean(), nll_positive, atol=6e-4)
        assert_allclose((sweep.loss_negative[0] / sweep.tokens_negative).mean(), nll_negative, atol=6e-4)
        assert_allclose([sweep.preference.mean(), sweep.preference.std(ddof=1)], [mean, deviation], atol=0.02)
