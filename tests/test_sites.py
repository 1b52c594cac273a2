"""Sites: which there are, and what is said of those there are not."""

import pytest
from conftest import FAMILIES

import mechsteer as ms
from mechsteer.sites import PLACES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_place_exists_in_every_family_but_the_middle_of_parallel_blocks(tiny, family):
    expected = [place for place in PLACES if not (family == "neox" and place == "resid_mid")]
    sites = ms.all_sites(tiny(family))
    assert [site.place for site in sites if site.layer == 2] == expected
    assert {site.layer for site in sites} == {0, 1, 2}


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
    with pytest.raises(ms.InputError, match="layer 1 of .* has mlp.out, attn.o, resid_pre, resid_post"):
        ms.Site(1, "resid_mid").widths(tiny("neox"))
