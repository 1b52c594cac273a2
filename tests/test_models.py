"""Opening models: what they compute is what Hugging Face computes."""

import numpy as np
import pytest
import torch
from conftest import EVERY_DAY, FAMILIES, build_hf, random_batch
from numpy.testing import assert_allclose

import mechsteer as ms
from mechsteer.models.fingerprint import N_WORDS, _sums, fingerprint


def alone(hf, batch: ms.TokenBatch, row: int) -> torch.Tensor:
    """Logits of one row without any padding, by plain Hugging Face."""
    with torch.no_grad():
        return hf(input_ids=batch.tokens[row][batch.attention_mask[row]][None]).logits[0]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_those_of_hugging_face_whatever_the_padding(tiny, family, side):
    batch, hf = random_batch(side=side), build_hf(family)
    with torch.no_grad():
        logits = tiny(family).logits(batch)
    for row in range(len(batch.tokens)):
        assert_allclose(logits[row][batch.attention_mask[row]], alone(hf, batch, row), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_eager_attention_gives_the_same_logits(tiny, family):
    batch = random_batch()
    eager = ms.load_model(build_hf(family), device="cpu", attention="eager")
    with torch.no_grad():
        difference = (eager.logits(batch) - tiny(family).logits(batch))[batch.attention_mask]
    assert difference.abs().max() < 1e-5


def test_eager_attention_shows_its_patterns_and_native_attention_does_not_compute_them(tiny):
    def patterns(model):
        seen = []
        with torch.no_grad(), model.hooks([("blocks.1.attn.hook_pattern", lambda t, hook: seen.append(t.shape))]):
            model.logits(random_batch())
        return seen

    assert patterns(ms.load_model(build_hf("llama"), attention="eager")) == [(3, 4, 15, 15)]
    assert patterns(tiny("llama")) == []


@pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale/hook_normalized")
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_norm_runs_as_one_until_somebody_hooks_its_steps(tiny, family):
    """Looking changes nothing, and what a hook puts there reaches the logits."""
    batch, model = random_batch(), tiny(family)
    seen = []
    with torch.no_grad():
        logits = model.logits(batch)
        with model.hooks([("blocks.1.ln1.hook_scale", lambda scale, hook: seen.append(scale.shape))]):
            assert_allclose(model.logits(batch), logits, atol=1e-5)
        with model.hooks([("blocks.1.ln2.hook_normalized", lambda normed, hook: 2 * normed)]):
            assert (model.logits(batch) - logits).abs().max() > 1e-3
        assert torch.equal(model.logits(batch), logits)
    assert seen == [(*batch.tokens.shape, 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_asked_for_at_some_positions_are_those_of_the_whole(tiny, family):
    batch, model = random_batch(), tiny(family)
    with torch.no_grad():
        some, whole = model.logits(batch, at=batch.completion_mask), model.logits(batch)
    assert_allclose(some, whole[batch.completion_mask], atol=1e-6)


def test_bfloat16_logits_equal_those_of_hugging_face_bit_for_bit():
    batch = random_batch(n_rows=1)
    model = ms.load_model(build_hf("llama", dtype=torch.bfloat16))
    with torch.no_grad():
        assert torch.equal(model.logits(batch)[0], alone(build_hf("llama", dtype=torch.bfloat16), batch, 0))


def test_a_fingerprint_is_of_the_weights_and_not_of_their_precision():
    plain, half = ms.load_model(build_hf("gpt2")), ms.load_model(build_hf("gpt2"), dtype="bfloat16")
    changed = build_hf("gpt2")
    with torch.no_grad():
        next(changed.parameters()).mul_(1.5)
    assert plain.fingerprint == half.fingerprint
    assert plain.fingerprint != ms.load_model(changed).fingerprint


@pytest.mark.parametrize("family", EVERY_DAY)
def test_every_entry_of_every_weight_is_in_the_fingerprint(family):
    hf, generator = build_hf(family), torch.Generator().manual_seed(1)
    seen = {before := fingerprint(hf)}
    for parameter in hf.parameters():
        at = tuple(int(torch.randint(n, (), generator=generator)) for n in parameter.shape)
        for change in (lambda value: -value, lambda value: 2 * value + 1):
            kept = parameter.data[at].clone()
            parameter.data[at] = change(kept)
            seen.add(fingerprint(hf))
            parameter.data[at] = kept
    assert len(seen) == 1 + 2 * len(list(hf.parameters())) and fingerprint(hf) == before


def test_buffers_that_are_saved_are_in_the_fingerprint_and_others_are_not():
    found = []
    for value, persistent in ((0.0, True), (1.0, True), (0.0, False), (1.0, False)):
        hf = build_hf("llama")
        hf.model.layers[1].register_buffer("scalar", torch.tensor(value), persistent=persistent)
        found.append(fingerprint(hf))
    assert found[0] != found[1] and found[2] == found[3] == fingerprint(build_hf("llama"))


@pytest.mark.parametrize(
    ("family", "setting"),
    [
        ("llama", {"hidden_act": "relu"}), ("llama", {"rms_norm_eps": 1e-5}),
        ("llama", {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}),
        ("gemma2", {"final_logit_softcapping": None}), ("gemma2", {"attn_logit_softcapping": 20.0}),
        ("gemma2", {"sliding_window": 16}),
    ],
)  # fmt: skip
def test_the_configuration_is_part_of_the_fingerprint(family, setting):
    hf = build_hf(family)
    before = fingerprint(hf)
    for name, value in {"name_or_path": "elsewhere", "dtype": "bfloat16", "transformers_version": "1"}.items():
        setattr(hf.config, name, value)
        assert fingerprint(hf) == before
    for name, value in setting.items():
        setattr(hf.config, name, value)
    assert fingerprint(hf) != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int32])
def test_a_tensor_is_summed_block_by_block_so_that_it_does_not_matter_how_many_a_device_takes_at_once(dtype):
    width = 2 if dtype.is_floating_point else torch.empty((), dtype=dtype).element_size()
    n, more = 8 * N_WORDS // width, 7
    values = torch.randint(1, 99, (3 * n + more,), generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(_sums(values), torch.cat([_sums(part) for part in values.split(n)]))
    # Two changed signs in the last place of words, and two entries that changed places.
    changed = values.clone()
    changed[[3, 11]] *= -1
    exchanged = values.clone()
    exchanged[[0, 1]] = exchanged[[1, 0]]
    for other in (changed, exchanged):
        assert (_sums(values) != _sums(other)).tolist() == [not torch.equal(values, other), False, False, False]


def test_a_saved_model_is_opened_from_its_folder(tmp_path, tiny):
    build_hf("llama").save_pretrained(tmp_path)
    model = ms.load_model(tmp_path, device="cpu")
    assert model.tokenizer is None
    assert model.fingerprint == tiny("llama").fingerprint
    with pytest.raises(ms.InputError, match="has no tokenizer"):
        ms.encode_pairs(model, [ms.PolarityPair("a", " b", " c")])


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_a_device_map_changes_where_a_model_lies_and_nothing_else(device_map, tmp_path, tiny):
    build_hf("llama").save_pretrained(tmp_path)
    batch, model = random_batch(), ms.load_model(tmp_path, device_map=device_map)
    with torch.no_grad():
        assert_allclose(model.logits(batch).cpu(), tiny("llama").logits(batch), atol=1e-5)
    assert model.identity.weights == tiny("llama").identity.weights


@pytest.mark.parametrize(
    ("source", "message"),
    [("nowhere/at-all", "No model could be opened"), (__file__, "is a file"), (".", "holds no config.json")],
)
def test_a_wrong_source_is_named_in_one_sentence(monkeypatch, tmp_path, source, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ms.InputError, match=message):
        ms.load_model(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype"), ({"attention": "flash"}, "attention"), ({"device": "abacus"}, "device"),
        ({"device_map": "abacus"}, "The device 'abacus' cannot be used here"), ({"device_map": "cuda:9"}, "cuda:9"),
        ({"device_map": "auto", "device": "cpu"}, "Choose one"),
    ],
)  # fmt: skip
def test_an_option_that_is_unknown_is_named(options, message):
    with pytest.raises(ms.InputError, match=message):
        ms.load_model(build_hf("llama"), **options)


def test_the_author_s_own_activations_of_mingpt_are_reproduced(shared):
    """Hooks against activations that the model's author published, taken in another program."""
    import base64
    import json

    folder = shared / "models" / "minGPT-sort"
    stored = json.loads((folder / "reference_activations.json").read_text())

    def read(name):
        entry = stored[name]
        return np.frombuffer(base64.b64decode(entry["data"]), entry["dtype"].split(".")[-1]).reshape(entry["shape"])

    tokens = torch.tensor(read("idx").astype(np.int64))
    whole = torch.ones_like(tokens, dtype=torch.bool)
    model = ms.load_model(folder, device="cpu")
    seen = {}

    def keep(name):
        return lambda tensor, hook: seen.__setitem__(name, tensor.clone())

    names = {
        "x": "blocks.0.hook_in",
        "block0": "blocks.0.hook_out",
        "block1": "blocks.1.hook_out",
        "attnResid": "blocks.0.hook_resid_mid",
        "mlp": "blocks.0.mlp.out.hook_out",
        "ln_f": "ln_final.hook_out",
    }
    with torch.no_grad(), model.hooks([(hook, keep(name)) for name, hook in names.items()]):
        logits = model.logits(ms.TokenBatch(tokens, whole, whole))
    for name in names:
        assert_allclose(seen[name], read(name), atol=1e-5, err_msg=name)
    assert_allclose(logits, read("lm_head"), atol=1e-5)
