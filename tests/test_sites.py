"""Sites: which there are, and what is said of those there are not."""

import pytest
import torch
import transformers
from conftest import FAMILIES, build_hf

import mechsteer as ms
from mechsteer.models.hooks import PLACES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_place_exists_in_every_family_but_the_middle_of_parallel_blocks(tiny, family):
    expected = [place for place in PLACES if not (family == "neox" and place == "resid_mid")]
    sites = ms.all_sites(tiny(family))
    assert [site.place for site in sites if site.layer == 2] == expected
    assert {site.layer for site in sites} == {0, 1, 2}


def test_post_norm_blocks_have_no_middle_and_keep_their_other_places():
    config = transformers.OPTConfig(
        vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, max_position_embeddings=64,
        word_embed_proj_dim=16, do_layer_norm_before=False, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = ms.load_model(transformers.AutoModelForCausalLM.from_config(config).eval(), device="cpu")
    assert {"mlp.out", "attn.o", "resid_post"} <= {site.place for site in ms.all_sites(model)}
    assert "resid_mid" not in {site.place for site in ms.all_sites(model)}


def test_looking_for_a_site_inside_a_steer_is_neither_steered_nor_counted():
    model = ms.load_model(build_hf("llama"), device="cpu")
    vector = ms.SteeringVector(ms.Site(1, "resid_post"), torch.ones(model.d_model))
    with (
        ms.steer(model, vector, torch.tensor([1.0, 2.0, 3.0])) as audit,
        ms.steer(model, ms.SteeringVector(ms.Site(0, "mlp.out"), torch.ones(model.d_model)), 1.0),
    ):
        assert audit.n_forwards == 0


def test_a_site_is_written_as_layer_and_place():
    assert ms.Site.parse("3:mlp.out") == ms.Site(3, "mlp.out")
    assert str(ms.Site(3, "mlp.out")) == "3:mlp.out"


@pytest.mark.parametrize(
    ("text", "message"),
    [("3", "place ''"), ("x:resid_post", "not LAYER:PLACE"), ("1:hook_out", "Places are"), ("-1:mlp.out", "negative")],
)
def test_a_site_that_cannot_be_read_is_refused(text, message):
    with pytest.raises(ms.InputError, match=message):
        ms.Site.parse(text)


def test_a_site_that_a_model_lacks_is_refused_with_those_it_has(tiny):
    with pytest.raises(ms.InputError, match="has layers 0 to 2"):
        ms.Site(3, "mlp.out").widths(tiny("llama"))
    with pytest.raises(ms.InputError, match="layer 1 of .* has resid_pre, attn.o, mlp.out, mlp.bypass, resid_post"):
        ms.Site(1, "resid_mid").widths(tiny("neox"))
