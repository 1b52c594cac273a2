"""Resuming a forward at a block gives the whole forward's numbers, bit for bit, and leaves nothing behind."""

import pytest
import torch
from conftest import FAMILIES, random_batch, random_intervention

import mechsteer as ms
from mechsteer.engine.prefix import entering, resumed


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_forward_equals_the_whole_one_bit_for_bit(tiny, family, side):
    model, batch = tiny(family), random_batch(side=side)
    for place in ("resid_pre", "mlp.out"):
        steer = random_intervention("local_weight", ms.Site(2, place), model)
        with torch.no_grad(), ms.steer(model, steer, 0.5):
            whole = model.logits(batch)
        residual = entering(model, 2, lambda: model.logits(batch))
        with torch.no_grad(), resumed(model, 2, residual), ms.steer(model, steer, 0.5):
            assert torch.equal(model.logits(batch), whole)
        with torch.no_grad(), ms.steer(model, steer, 0.5):
            assert torch.equal(model.logits(batch), whole)


def test_blocks_below_are_skipped_unless_somebody_has_hooked_them(tiny):
    model, batch = tiny("opt"), random_batch()
    residual = entering(model, 2, lambda: model.logits(batch))
    ran = []
    with torch.no_grad(), resumed(model, 2, residual):
        handle = model.bridge.blocks[1].mlp.register_forward_hook(lambda *args: ran.append(1))
        model.logits(batch)
        handle.remove()
        assert not ran
    with (
        torch.no_grad(),
        model.hooks([("blocks.1.hook_out", lambda t, hook: ran.append(1))]),
        resumed(model, 2, residual),
    ):
        model.logits(batch)
    assert ran


def test_an_error_inside_restores_the_blocks(tiny):
    model, batch = tiny("llama"), random_batch()
    with torch.no_grad():
        whole = model.logits(batch)
    with pytest.raises(KeyboardInterrupt), resumed(model, 2, entering(model, 2, lambda: model.logits(batch))):
        raise KeyboardInterrupt
    assert not any("forward" in vars(block) for block in model.bridge.blocks)
    with torch.no_grad():
        assert torch.equal(model.logits(batch), whole)
