"""Steers go out as other programs read them and come back the same; what a format cannot say is refused or asked for."""

import base64
import dataclasses
import json
import re
import shutil

import llama_cpp
import numpy as np
import peft
import pytest
import torch
import transformers
from conftest import FAMILIES, build_hf, random_batch, random_intervention
from safetensors.torch import save_file

import mechsteer as ms
from mechsteer import InputError
from mechsteer.cli.options import open_steered
from mechsteer.families import FORMATS
from mechsteer.formats.exporting import largest_difference
from mechsteer.formats.gguf_files import write_gguf
from mechsteer.formats.imported import for_study
from mechsteer.formats.inspecting import inspect
from mechsteer.formats.loading import check_model, tell_precision
from mechsteer.formats.modules import module_of, sites_of_modules
from mechsteer.formats.named import sayings, says_of, written_formats

FORMS = ("vector", "lora", "local_weight")
OUT = {
    "mechsteer": "steer.safetensors", "gguf-vector": "steer.gguf", "gguf-lora": "steer.gguf", "steering-vectors": "steer.pt",
    "persona-vectors": "steer.pt", "refusal-direction": "direction.pt", "easysteer": "steer.json", "easyedit": "layer_1.pt",
}  # fmt: skip
"""What files are called; a folder is called "steer"."""


def sayable(format: str) -> list[tuple[str, str]]:
    """Forms and places that a format has words for."""
    every = ("resid_pre", "attn.o", "resid_mid", "mlp.out", "mlp.bypass", "resid_post")
    tables = sayings(FORMATS[format])
    return [(form, at) for says in tables for form in says["forms"] or FORMS for at in says["places"] or every]


CASES = [(format, *case) for format in written_formats() if format != "merged" for case in sayable(format)]


def steer_of(
    form: str, place: str, model: ms.Model, layers: tuple[int, ...] = (1, 2), bias: bool = True
) -> ms.Intervention:
    parts = [random_intervention(form, ms.Site(layer, place), model, seed=layer) for layer in layers]
    if not bias:
        parts = [
            ms.LocalWeight(p.site, p.weight, torch.zeros_like(p.bias)) if form == "local_weight" else p for p in parts
        ]
    return ms.join(parts)


@pytest.mark.parametrize(("format", "form", "place"), CASES)
def test_what_is_written_is_read_again_as_it_was(tiny, tmp_path, format, form, place):
    model = tiny("llama")
    several = says_of(FORMATS[format], form).get("several", True)
    layers = (1, 2) if several else (1,)
    steer = steer_of(form, place, model, layers, bias=format != "gguf-lora")
    done = ms.export(steer, tmp_path / OUT.get(format, "steer"), format, model=model)
    assert done.difference is not None and done.difference < 1e-6
    again = ms.load_intervention(done.path)
    assert again.sites == steer.sites and again.rule == steer.rule
    assert again.origin.positions == "all"
    # It is not that nothing was compared.
    assert largest_difference(steer.scaled(1.01), again) > 5e-3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", ["mlp.out", "attn.o"])
def test_the_module_of_a_site_is_called_as_such_in_every_family(tiny, family, place):
    model, site = tiny(family), ms.Site(1, place)
    name, module = module_of(model, site)
    assert sites_of_modules([name]) == {name: site}
    # Plain Hugging Face calls it so, too.
    plain = dict(build_hf(family).named_modules())[name]
    assert torch.equal(plain.weight, module.weight)


def refused(steer, tmp_path, format, message, **more):
    with pytest.raises(InputError, match=message):
        ms.export(steer, tmp_path / OUT.get(format, "steer"), format, **more)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_a_format_cannot_express_is_refused_with_the_reason_and_what_is_not(tiny, tmp_path):
    model = tiny("llama")
    middle = random_intervention("vector", ms.Site(1, "resid_mid"), model)
    after = random_intervention("vector", ms.Site(1, "resid_post"), model)
    refused(middle, tmp_path, "peft", "cannot express the place resid_mid.*can be written as mechsteer")
    refused(after, tmp_path, "gguf-lora", "cannot express a vector.*gguf-vector", model=model)
    refused(steer_of("lora", "mlp.out", model), tmp_path, "gguf-vector", "cannot express a LoRA.*peft")
    refused(ms.join([after], rule=ms.ProjectOut()), tmp_path, "gguf-vector", "cannot express the rule project_out")
    refused(middle, tmp_path, "peft", "no norm between 1:attn.o and the residual stream, name it")
    reads = random_intervention("lora", ms.Site(1, "resid_mid"), model)
    refused(reads, tmp_path, "peft", "place resid_mid.*read by no weight of a model: learn at 1:attn.o", model=model)
    only = ms.SteeringVector(after.site, after.direction, origin=ms.Origin(positions="completion"))
    refused(only, tmp_path, "gguf-vector", "cannot express the positions 'completion' .*#positions=every.*easysteer")
    answers = dataclasses.replace(steer_of("lora", "mlp.out", model), origin=ms.Origin(positions="completion"))
    refused(answers, tmp_path, "peft", "cannot express the positions 'completion' .*#positions=every", model=model)
    refused(random_intervention("vector", ms.Site(0, "resid_post"), model), tmp_path, "gguf-vector", "block 0")
    refused(
        random_intervention("local_weight", ms.Site(1, "mlp.out"), model), tmp_path, "gguf-lora", "bias", model=model
    )
    refused(steer_of("lora", "mlp.out", model), tmp_path, "peft", "written for a model, and none came")
    refused(
        ms.join([after], rule=ms.ProjectOut()), tmp_path, "mechsteer", "rule project_out a multiplier", multiplier=2.0
    )
    refused(after, tmp_path, "axbench", "only read")
    bypass = random_intervention("vector", ms.Site(1, "mlp.bypass"), model)
    refused(
        bypass, tmp_path, "easyedit", "place mlp.bypass; it holds vectors at resid_post, added at every but the first"
    )
    refused(random_intervention("vector", ms.Site(2, "resid_post"), model), tmp_path, "easyedit", "call it layer_2.pt")
    refused(
        after, tmp_path, "repeng", "'repeng' is unknown: gguf-vector is a control vector of llama.cpp and repeng. Write"
    )
    refused(after, tmp_path, "word", "unknown. Write one of mechsteer, peft, gguf-lora, gguf-vector, .*easysteer.$")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_enters_a_block_is_what_left_the_one_before_and_is_exported_so(tiny, tmp_path, family):
    model = tiny(family)
    enters = steer_of("vector", "resid_pre", model)
    done = ms.export(enters, tmp_path / "a.pt", "steering-vectors", model=model)
    assert done.difference == 0 and "1:resid_pre, which is written as 0:resid_post" in done.notes[0]
    leaves = ms.load_intervention(done.path)
    assert leaves.sites == (ms.Site(0, "resid_post"), ms.Site(1, "resid_post"))
    assert torch.equal(logits(model, enters, TOKENS), logits(model, leaves, TOKENS))
    # The reverse, where a model says that a block comes after.
    (tmp_path / "b").mkdir()
    first = ms.SteeringVector("1:resid_post", enters.parameters["1:resid_pre.direction"])
    done = ms.export(first, tmp_path / "b/direction.pt", "refusal-direction", model=model)
    again = ms.load_intervention(done.path)
    assert again.sites == (ms.Site(2, "resid_pre"),)
    assert torch.equal(logits(model, first, TOKENS), logits(model, again, TOKENS))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("form", "place", "written"), [
    ("vector", "resid_mid", "attn.o"), ("lora", "mlp.bypass", "mlp.out"), ("local_weight", "mlp.bypass", "mlp.out"),
])  # fmt: skip
def test_what_a_branch_adds_unchanged_is_exported_as_the_branchs_own(tiny, tmp_path, family, form, place, written):
    model = tiny(family)
    if family == "neox" and place == "resid_mid":
        with pytest.raises(InputError, match="does not exist"):
            random_intervention(form, ms.Site(1, place), model)
        return
    steer = random_intervention(form, ms.Site(1, place), model)
    moved = dataclasses.replace(steer, site=ms.Site(1, written))
    differs = (logits(model, steer, TOKENS) - logits(model, moved, TOKENS)).abs().max()
    if family in ("gemma2", "gemma3"):
        assert differs > 1e-2
        refused(steer, tmp_path, "peft", f"the place {place}.* does not add what 1:{written} gives", model=model)
        return
    assert differs < 1e-5
    done = ms.export(steer, tmp_path / "adapter", "peft", model=model)
    assert done.difference is not None and done.difference < 1e-6
    assert f"acts at 1:{place}, which is written as 1:{written}: what is added there arrives" in done.notes[0]
    again = ms.load_intervention(done.path)
    assert again.sites == (ms.Site(1, written),)
    assert (logits(model, steer, TOKENS) - logits(model, again, TOKENS)).abs().max() < 1e-5


def test_a_vector_behind_attention_goes_to_programs_that_know_its_output(tiny, tmp_path):
    build_hf("gpt2").save_pretrained(tmp_path / "base")
    model = ms.load_model(tmp_path / "base", device="cpu")
    steer = random_intervention("vector", ms.Site(1, "resid_mid"), model)
    merged = ms.export(steer, tmp_path / "merged", "merged", model=model)
    with torch.no_grad():
        plain = transformers.AutoModelForCausalLM.from_pretrained(merged.path)(torch.tensor([TOKENS])).logits[0]
    assert (logits(model, steer, TOKENS) - plain).abs().max() < 1e-5
    done = ms.export(steer, tmp_path / "a.pt", "steering-vectors", model=model)
    assert ms.load_intervention(done.path).sites == (ms.Site(1, "attn.o"),)
    # A LoRA of the down-projection is one of EasyEdit's, too.
    down = random_intervention("lora", ms.Site(1, "mlp.out"), model)
    done = ms.export(down, tmp_path / "layer_1.pt", "easyedit", model=model)
    assert ms.load_intervention(done.path, format="easyedit").sites == (ms.Site(1, "mlp.bypass"),)


def test_no_other_name_is_made_up(tiny, tmp_path):
    model = tiny("llama")
    first, last = (random_intervention("vector", ms.Site(layer, "resid_post"), model) for layer in (1, 2))
    refused(last, tmp_path, "refusal-direction", "cannot express the place resid_post", model=model)
    refused(first, tmp_path, "refusal-direction", "cannot express the place resid_post")
    before = random_intervention("vector", ms.Site(0, "resid_pre"), model)
    refused(before, tmp_path, "steering-vectors", "cannot express the place resid_pre")
    # Two steers of one point are not one.
    both = ms.join([first, random_intervention("vector", ms.Site(2, "resid_pre"), model)])
    refused(both, tmp_path, "steering-vectors", "cannot express the place resid_pre")
    # A steer at all times keeps its own names in our own files.
    assert ms.load_intervention(before.save(tmp_path / "a.safetensors")).sites == before.sites


def test_inspect_says_layers_as_each_program_counts_them(guestbook, tmp_path, mechsteer):
    path = tmp_path / "a.safetensors"

    def told(site: str, n_layers: int | None = guestbook.n_layers) -> dict:
        random_intervention("vector", ms.Site.parse(site), guestbook).save(path)
        return inspect(path, n_layers)["sites"][0]

    last = guestbook.n_layers - 1
    for site, same, index, direction in (
        ("1:resid_post", "2:resid_pre", 2, "direction.1"), ("2:resid_pre", "1:resid_post", 2, "direction.1"),
        ("0:resid_post", "1:resid_pre", 1, None), ("0:resid_pre", None, 0, None), ("1:resid_mid", None, None, None),
        (f"{last}:resid_post", None, None, f"direction.{last}"),
    ):  # fmt: skip
        one = told(site)
        assert (one["same_as"], one["hidden_states"], one["llama_cpp"]) == (same, index, direction), site
    # Of a file alone nobody knows whether the block is the last.
    assert told(f"{last}:resid_post", None)["hidden_states"] == last + 1
    said = mechsteer("inspect", path, "--model", "guestbook", "--device", "cpu", "--json")[1]
    assert json.loads(said)["sites"][0]["hidden_states"] is None


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_holds_what_leaves_every_block_but_the_last(family):
    """By plain Hugging Face."""
    hf, left = build_hf(family), []
    blocks = next(m for m in hf.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 3)
    for block in blocks:
        block.register_forward_hook(lambda module, given, out: left.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        states = hf(torch.tensor([TOKENS]), output_hidden_states=True).hidden_states
    assert torch.equal(states[1], left[0]) and torch.equal(states[2], left[1])
    assert not torch.allclose(states[3], left[2], atol=1e-2)


def test_the_multiplier_becomes_part_of_what_is_written_and_it_is_said(tiny, tmp_path):
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), tiny("llama"))
    done = ms.export(steer, tmp_path / "steer", "peft", model=tiny("llama"), multiplier=-2.0)
    assert any("multiplier -2" in note for note in done.notes)
    h = torch.randn(3, 48)
    torch.testing.assert_close(ms.load_intervention(done.path).delta(h), -2 * steer.delta(h))


def test_what_stands_beside_a_file_is_believed_of_that_file_alone(tiny, tmp_path):
    steer = random_intervention("vector", ms.Site(1, "resid_post"), tiny("llama"))
    steer = ms.SteeringVector(steer.site, steer.direction, origin=ms.Origin(method="DiffMean", positions="completion"))
    path = ms.export(
        ms.load_intervention(steer.save(tmp_path / "a.safetensors"), positions="every"),
        tmp_path / "a.pt",
        "persona-vectors",
    ).path
    assert ms.load_intervention(path).origin.method == "DiffMean"
    beside = tmp_path / "a.pt.mechsteer.json"
    assert json.loads(beside.read_text())["said"] == {"site": "1:resid_post"}
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="not the file that .* speaks of"):
        ms.load_intervention(path)
    beside.unlink()
    with pytest.raises(InputError, match="does not say what its numbers are"):
        ms.load_intervention(path)


def test_what_lies_beside_a_direction_is_of_all_that_makes_it_up_and_takes_no_place_of_another(tiny, tmp_path):
    steer = random_intervention("vector", ms.Site(1, "resid_pre"), tiny("llama"))
    path = ms.export(steer, tmp_path / "ours/direction.pt", "refusal-direction").path
    metadata = path.with_name("direction_metadata.json")
    metadata.write_text(json.dumps({"pos": -1, "layer": 2}))
    with pytest.raises(InputError, match=r"direction_metadata\.json' is not the file that .* speaks of"):
        ms.load_intervention(path)
    # Its own it writes again.
    assert ms.load_intervention(ms.export(steer, path, "refusal-direction").path).sites == steer.sites
    theirs = tmp_path / "theirs/direction_metadata.json"
    theirs.parent.mkdir()
    theirs.write_text('{"pos": -2, "layer": 10}')
    with pytest.raises(InputError, match=r"direction_metadata\.json' is there already, and no export wrote it"):
        ms.export(steer, theirs.with_name("direction.pt"), "refusal-direction")
    assert [*theirs.parent.iterdir()] == [theirs] and json.loads(theirs.read_text())["layer"] == 10


@pytest.mark.parametrize(("format", "place"), [("persona-vectors", "resid_post"), ("refusal-direction", "resid_pre")])
def test_what_cannot_be_read_again_does_not_stay(tiny, tmp_path, monkeypatch, format, place):
    def read(path, **answers):
        raise InputError("It cannot be read.")

    monkeypatch.setattr(f"mechsteer.formats.{format.replace('-', '_')}.read", read)
    refused(random_intervention("vector", ms.Site(1, place), tiny("llama")), tmp_path, format, "cannot be read")


def test_what_a_file_leaves_open_is_asked_for_and_said_behind_its_name(tmp_path):
    path = tmp_path / "layer_15.pt"
    torch.save(torch.arange(1.0, 5.0), path)
    with pytest.raises(InputError, match="does not say what its numbers are. Name the format.*easyedit"):
        ms.load_intervention(path)
    with pytest.raises(InputError, match="does not say layer: the block"):
        ms.load_intervention(f"{path}#format=easyedit")
    with pytest.raises(InputError, match="'place' cannot be said .* Choose layer"):
        ms.load_intervention(f"{path}#format=easyedit#place=resid_post")
    with pytest.raises(InputError, match="'repeng' is unknown: gguf-vector is a control vector.*Read one of mechsteer"):
        ms.load_intervention(f"{path}#format=repeng")
    with pytest.raises(InputError, match="says nothing of"):
        ms.load_intervention(f"{path}#easyedit")
    steer = ms.load_intervention(f"{path}#format=easyedit#layer=15#scale=-2#positions=query")
    assert steer.sites == (ms.Site(15, "resid_post"),) and steer.origin.positions == "query"
    assert steer.parameters["direction"].tolist() == [-2.0, -4.0, -6.0, -8.0] and steer.origin.method == "layer_15"
    long = ms.load_intervention(path, format="easyedit", layer=15, norm=3)
    torch.testing.assert_close(long.parameters["direction"].norm(), torch.tensor(3.0))
    for wrong in ("scale=big", "scale=nan", "positions=some", "layer=-1", "layer=x"):
        with pytest.raises(InputError):
            ms.load_intervention(f"{path}#format=easyedit#layer=15#{wrong}")


def logits(model: ms.Model, steer: ms.Intervention, tokens: list[int]) -> torch.Tensor:
    """Of every token of one text, all of which are steered."""
    batch = ms.TokenBatch(torch.tensor([tokens]), *[torch.ones(1, len(tokens), dtype=torch.bool)] * 2)
    with torch.no_grad(), ms.steer(model, steer, 1.0, "every"):
        return model.logits(batch)[0]


TOKENS = [1, *random_batch(1).tokens[0].tolist()]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "neox", "opt", "phi3"])
@pytest.mark.parametrize("form", FORMS)
def test_peft_says_what_we_say(tiny, tmp_path, family, form):
    model = tiny(family)
    steer = ms.join(
        [
            random_intervention(form, ms.Site(0, "mlp.out"), model),
            random_intervention("lora", ms.Site(2, "attn.o"), model, 1),
        ]
    )
    path = ms.export(steer, tmp_path / "adapter", "peft", model=model).path
    adapted = peft.PeftModel.from_pretrained(build_hf(family), path).eval()
    with torch.no_grad():
        theirs = adapted(torch.tensor([TOKENS])).logits[0]
        unsteered = build_hf(family)(torch.tensor([TOKENS])).logits[0]
    ours = logits(model, steer, TOKENS)
    assert (ours - theirs).abs().max() < 1e-5
    assert (ours - unsteered).abs().max() > 1e-2


@pytest.mark.parametrize("settings", [
    {"use_rslora": True}, {"alpha_pattern": {"down_proj": 3}, "rank_pattern": {r"layers\.2\.mlp\.down_proj": 5}},
    {"lora_bias": True},
])  # fmt: skip
def test_an_adapter_of_peft_is_read_as_peft_reads_it(tiny, tmp_path, settings):
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=4, lora_alpha=7, target_modules=["down_proj", "o_proj"], init_lora_weights=False, **settings
    )
    adapted = peft.get_peft_model(build_hf("llama"), config).eval()
    if "lora_bias" in settings:
        for name, parameter in adapted.named_parameters():
            if name.endswith("lora_B.default.bias"):
                torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    steer = ms.load_intervention(tmp_path / "adapter")
    assert len(steer.sites) == 6 and steer.origin.positions == "every"
    with torch.no_grad():
        theirs = adapted(torch.tensor([TOKENS])).logits[0]
    assert (logits(tiny("llama"), steer, TOKENS) - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "opt"])
def test_llama_cpp_says_what_we_say(tmp_path, family):
    """In every family that it has, opt being none of them."""
    model = ms.load_model(llama_cpp.with_its_gelu(build_hf(family)), device="cpu")
    file = llama_cpp.write_model(build_hf(family), tmp_path / "model.gguf")
    unsteered = llama_cpp.logits(file, TOKENS, model.d_vocab)
    # A table in half precision jumps where two orders of arithmetic come to its two sides.
    close = 3e-4 if family in ("gpt2", "gemma2", "gemma3", "neox") else 1e-5
    for format, form, place in (
        ("gguf-vector", "vector", "resid_post"), ("gguf-lora", "lora", "mlp.out"), ("gguf-lora", "local_weight", "attn.o"),
    ):  # fmt: skip
        steer = steer_of(form, place, model, bias=False)
        path = ms.export(steer, tmp_path / f"{form}.gguf", format, model=model).path
        theirs = llama_cpp.logits(file, TOKENS, model.d_vocab, **{format.removeprefix("gguf-"): path})
        ours = logits(model, steer, TOKENS)
        assert (ours - theirs).abs().max() < close
        assert (ours - unsteered).abs().max() > 0.1


def test_a_merged_checkpoint_is_the_steered_model_and_two_checkpoints_tell_the_steer(stories, tmp_path):
    steer = ms.join(
        [
            random_intervention("lora", ms.Site(1, "mlp.out"), stories),
            random_intervention("lora", ms.Site(2, "attn.o"), stories),
        ]
    )
    done = ms.export(steer, tmp_path / "merged", "merged", model=stories)
    assert done.difference is not None and done.difference < 1e-5
    with torch.no_grad():
        plain = transformers.AutoModelForCausalLM.from_pretrained(done.path)(torch.tensor([TOKENS])).logits[0]
    assert (logits(stories, steer, TOKENS) - plain).abs().max() < 1e-4
    (done.path / "mechsteer.json").unlink()
    with pytest.raises(InputError, match="does not say base"):
        ms.load_intervention(done.path)
    with pytest.raises(InputError, match="the same weights"):
        ms.load_intervention(stories.name, base=stories.name)
    again = ms.load_intervention(done.path, base=stories.name)
    assert again.form == "local_weight" and largest_difference(steer, again) < 1e-5
    with pytest.raises(InputError, match="which no export as merged wrote"):
        ms.export(steer, stories.name, "merged", model=stories)


def test_a_merged_checkpoint_needs_a_bias_for_a_bias(stories, tmp_path):
    vector = random_intervention("vector", ms.Site(1, "mlp.out"), stories)
    refused(vector, tmp_path, "merged", "has no bias of its own.*peft", model=stories)


@pytest.mark.parametrize(("ours", "theirs"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_checkpoints_of_two_dtypes_are_compared_as_they_are(tmp_path, ours, theirs):
    hf = build_hf("llama")
    hf.to(getattr(torch, ours)).save_pretrained(tmp_path / "base")
    hf = build_hf("llama").to(getattr(torch, theirs)) if ours == "float32" else hf.to(torch.float32)
    with torch.no_grad():
        hf.model.layers[1].mlp.down_proj.weight.add_(1e-6)
    hf.save_pretrained(tmp_path / "after")
    if ours == "bfloat16":
        # Less than a step of bfloat16 is a change.
        steer = ms.load_intervention(tmp_path / "after", base=str(tmp_path / "base"))
        assert steer.sites == (ms.Site(1, "mlp.out"),)
        torch.testing.assert_close(steer.parameters["weight"], torch.full((32, 48), 1e-6), atol=1e-7, rtol=0)
        return
    with pytest.raises(InputError, match="base' is in float32 and .*after' in bfloat16, so .* by rounding alone"):
        ms.load_intervention(tmp_path / "after", base=str(tmp_path / "base"))


def test_a_refused_export_leaves_an_earlier_one_as_it_was(tiny, tmp_path):
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), tiny("llama"))
    path = ms.export(steer, tmp_path / "adapter", "peft", model=tiny("llama")).path
    before = {file: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(InputError, match="cannot express the place"):
        ms.export(random_intervention("vector", ms.Site(1, "resid_post"), tiny("llama")), path, "peft")
    assert {file: file.read_bytes() for file in path.iterdir()} == before
    # One that is not refused takes its place, our own format with nothing beside it.
    ms.export(steer.scaled(2.0), path, "peft", model=tiny("llama"))
    assert largest_difference(steer.scaled(2.0), ms.load_intervention(path)) < 1e-6
    file, vector = tmp_path / "steer", random_intervention("vector", ms.Site(1, "resid_post"), tiny("llama"))
    ms.export(vector, file, "gguf-vector")
    ms.export(vector, file, "mechsteer")
    assert not (tmp_path / "steer.mechsteer.json").exists()


def test_a_folder_of_other_files_is_no_place_for_an_export(tiny, stories, tmp_path):
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), tiny("llama"))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds 'notes.txt', which no export as peft wrote"):
        ms.export(steer, tmp_path, "peft", model=tiny("llama"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), stories)
    path = ms.export(steer, tmp_path / "adapter", "peft", model=stories).path
    # An adapter in a checkpoint would steer twice, whichever came first.
    with pytest.raises(InputError, match="which no export as merged wrote"):
        ms.export(steer, path, "merged", model=stories)
    merged = ms.export(steer, tmp_path / "merged", "merged", model=stories).path
    with pytest.raises(InputError, match="which no export as peft wrote"):
        ms.export(steer, merged, "peft", model=stories)


def test_a_merged_checkpoint_is_compared_with_the_model_that_it_was_written_from(stories, tmp_path):
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), stories)
    steer = dataclasses.replace(steer, origin=ms.Origin(model="somebody/elsewhere"))
    done = ms.export(steer, tmp_path / "merged", "merged", model=stories)
    assert done.difference is not None and done.difference < 1e-5
    with pytest.raises(InputError, match="the model itself"):
        ms.export(steer, done.path, "merged", model=ms.load_model(done.path, device="cpu"))


def test_a_merged_checkpoint_is_compared_with_the_revision_that_it_was_written_from(tmp_path, monkeypatch):
    model = tmp_path / "models--own--tiny"
    (model / "refs").mkdir(parents=True)
    for revision, commit in (("main", "0a"), ("v1", "0b")):
        hf = build_hf("llama")
        with torch.no_grad():
            hf.model.layers[2].mlp.down_proj.weight.add_(revision == "v1")
        hf.save_pretrained(model / "snapshots" / commit)
        (model / "refs" / revision).write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    opened = ms.load_model("own/tiny", device="cpu", revision="v1", cache_dir=tmp_path, local_files_only=True)
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), opened)
    done = ms.export(steer, tmp_path / "merged", "merged", model=opened)
    assert done.difference is not None and done.difference < 1e-5
    (done.path / "mechsteer.json").unlink()
    again = ms.load_intervention(done.path, base="own/tiny", revision="v1")
    assert largest_difference(steer, again) < 1e-5
    assert (again.origin.model, again.origin.revision) == ("own/tiny", "v1")
    # The newest is another model.
    newest = ms.load_intervention(done.path, base="own/tiny")
    assert newest.sites == (ms.Site(1, "mlp.out"), ms.Site(2, "mlp.out"))
    with pytest.raises(InputError, match="is a folder, which has no revisions. Leave the revision v1 out"):
        ms.load_intervention(done.path, base=str(model / "snapshots/0b"), revision="v1")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_merged_checkpoint_of_several_files_and_of_transposed_weights(tmp_path, family):
    build_hf(family).save_pretrained(tmp_path / "base", max_shard_size="30KB")
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 1
    model = ms.load_model(tmp_path / "base", device="cpu")
    steer = steer_of("lora", "mlp.out", model)
    path = ms.export(steer, tmp_path / "merged", "merged", model=model).path
    with torch.no_grad():
        plain = transformers.AutoModelForCausalLM.from_pretrained(path)(torch.tensor([TOKENS])).logits[0]
    assert (logits(model, steer, TOKENS) - plain).abs().max() < 1e-5


@pytest.mark.parametrize(("file", "sites", "width", "norm"), [
    ("easysteer/vectors/happy_diffmean.gguf", range(28), 1536, 1.0),
    ("easysteer/vectors/happy_diffmean.gguf#layers=10-12+20", (10, 11, 12, 20), 1536, 1.0),
    ("easysteer/replications/cast/refuse-pca.gguf", range(28), 1536, 1.0),
    ("easysteer/replications/steerable_chatbot/style-probe.gguf#layers=20", (20,), 1536, 1.0),
    ("easysteer/replications/bipo/vec_ep20_layer15.pt#format=easyedit#layer=15", (15,), 4096, 8.703),
    ("easyedit/demo/EasySteer_demo/demo_vector/sentiment/sentiment.pt#format=easyedit#layer=20", (20,), 3584, 102.838),
    ("refusal-direction/pipeline/runs/gemma-2b-it/direction.pt", (10,), 2048, 10.064),
])  # fmt: skip
def test_what_others_have_published_is_read_as_they_meant_it(shared, file, sites, width, norm):
    steer = ms.load_intervention(f"{shared}/data/{file}")
    place = "resid_pre" if "refusal" in file else "resid_post"
    assert steer.sites == tuple(ms.Site(layer, place) for layer in sites) and steer.form == "vector"
    for shift in steer.shifts.values():
        assert shift.widths == (None, width) and abs(shift.norm - norm) < 1e-3 * norm


def test_the_direction_that_was_chosen_is_one_of_the_candidates(shared):
    """direction_metadata.json says position -2, of five, and layer 10."""
    run = f"{shared}/data/refusal-direction/pipeline/runs/gemma-2b-it"
    chosen = ms.load_intervention(f"{run}/direction.pt")
    candidate = ms.load_intervention(
        f"{run}/generate_directions/mean_diffs.pt#format=refusal-direction#layer=10#position=3"
    )
    assert largest_difference(chosen, candidate) == 0


def test_weights_of_easyedit_read_what_the_down_projection_reads_and_add_where_the_block_ends(tiny, tmp_path):
    down, up = torch.randn(48, 4), torch.randn(4, 32)
    torch.save(
        {"lora_A": down, "lora_B": up, "r": 4, "alpha": 32, "intervention_components": "mlp_mid"}, tmp_path / "a.pt"
    )
    torch.save({0: {"weight": down @ up, "bias": torch.ones(32)}, 1: {}}, tmp_path / "b.pt")
    h = torch.randn(5, 48)
    lora = ms.load_intervention(tmp_path / "a.pt", tiny("llama"), format="easyedit", layer=1)
    assert lora.sites == (ms.Site(1, "mlp.bypass"),) and lora.origin.positions == "every"
    torch.testing.assert_close(lora.shifts[lora.sites[0]].delta(h), h @ down @ up)
    local = ms.load_intervention(tmp_path / "b.pt", tiny("llama"), format="easyedit", layer=1, row=0)
    torch.testing.assert_close(local.shifts[local.sites[0]].delta(h), h @ down @ up + 1)


def test_the_token_that_begins_a_text_is_told_where_a_format_steers_others_than_we_do(tiny, tmp_path):
    """EasyEdit leaves it alone with a vector, and steers it with weights."""
    every, weights = ms.Origin(positions="every"), random_intervention("lora", ms.Site(1, "mlp.bypass"), tiny("llama"))
    vector = random_intervention("vector", ms.Site(1, "resid_post"), tiny("llama"))
    for steer, origin, said in (
        (vector, vector.origin, ""), (vector, every, "leaves the token .* alone"),
        (weights, weights.origin, "acts on the token"), (weights, every, ""),
    ):  # fmt: skip
        done = ms.export(dataclasses.replace(steer, origin=origin), tmp_path / "layer_1.pt", "easyedit")
        (tmp_path / "layer_1.pt.mechsteer.json").unlink()
        assert re.search(said, " ".join(done.notes)) and bool(said) is bool(done.notes)
        again = ms.load_intervention(done.path, format="easyedit", layer=1)
        assert again.origin.positions == ("all" if steer is vector else "every")


def test_rows_layers_and_hooks_of_other_files(tmp_path):
    torch.save(torch.arange(12.0).view(3, 4), tmp_path / "DiffMean_weight.pt")
    concept = ms.load_intervention(tmp_path / "DiffMean_weight.pt", layer=20, row=2)
    assert concept.sites == (ms.Site(20, "resid_post"),) and concept.parameters["direction"].tolist() == [8, 9, 10, 11]
    torch.save(torch.ones(3, 4), tmp_path / "LsReFT_gating_weight.pt")
    with pytest.raises(InputError, match="adds no vector"):
        ms.load_intervention(tmp_path / "LsReFT_gating_weight.pt", layer=20, row=2)
    torch.save(torch.arange(12.0).view(3, 4), tmp_path / "evil_response_avg_diff.pt")
    persona = ms.load_intervention(
        tmp_path / "evil_response_avg_diff.pt", format="persona-vectors", site="1:resid_post"
    )
    assert persona.parameters["direction"].tolist() == [8, 9, 10, 11]
    both = ms.load_intervention(
        tmp_path / "evil_response_avg_diff.pt", format="persona-vectors", site="1:resid_post,0:resid_post"
    )
    assert [shift.norm for shift in both.shifts.values()] == [
        torch.arange(4.0, 8.0).norm(),
        persona.parameters["direction"].norm(),
    ]
    with pytest.raises(InputError, match="1:mlp.out is another place"):
        ms.load_intervention(
            tmp_path / "evil_response_avg_diff.pt", format="persona-vectors", site="0:resid_post,1:mlp.out"
        )
    said = {"model_type": "llama", "directions": {"3": [1.0, 2.0], "4": [3, 4]}, "explained_variances": {"3": 1.0}}
    (tmp_path / "a.svec").write_text(json.dumps(said))
    behaviour = ms.load_intervention(tmp_path / "a.svec", layers="4")
    assert behaviour.sites == (ms.Site(4, "resid_pre"),) and behaviour.parameters["direction"].tolist() == [3, 4]
    save_file({"W_dec": torch.arange(12.0).view(3, 4)}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(
        json.dumps({"metadata": {"hook_name": "blocks.8.hook_resid_pre", "model_name": "gpt2"}})
    )
    feature = ms.load_intervention(tmp_path, row=1)
    assert feature.sites == (ms.Site(8, "resid_pre"),) and feature.parameters["direction"].tolist() == [4, 5, 6, 7]
    assert feature.origin.model == "gpt2"
    (tmp_path / "cfg.json").write_text(json.dumps({"hook_name": "blocks.8.hook_mlp_out"}))
    with pytest.raises(InputError, match="not in the residual stream"):
        ms.load_intervention(tmp_path, row=1)
    assert ms.load_intervention(tmp_path, row=1, site="8:mlp.out").sites == (ms.Site(8, "mlp.out"),)


def test_easysteer_is_asked_for_what_the_steer_does_wherever_the_file_lies(tiny, tmp_path):
    steer = steer_of("vector", "resid_post", tiny("llama"), (0, 2))
    done = ms.export(steer, tmp_path / "steering.json", "easysteer")
    assert any("mechsteer leaves BOS alone" in note for note in done.notes)
    (vector,) = json.loads(done.path.read_text())["vectors"]
    assert vector["layers"] == [0, 2] and vector["apply"] == {"prompt": "all", "generation": "all"}
    assert vector["algorithm"] == "direct" and vector["scale"] == 1 and vector["normalize"] is False
    (tmp_path / "elsewhere").mkdir()
    moved = ms.load_intervention(done.path.rename(tmp_path / "elsewhere/steering.json"))
    assert moved.origin.positions == "every" and largest_difference(steer, moved) == 0


def test_easysteer_knows_what_is_written_by_its_own_hash(tmp_path):
    """As its `DirectionVector({0: [0, 1, 2, 3], 10: [10, 11, 12, 13], 2: [2, 3, 4, 5]}).to_wire()` has it."""
    parts = [ms.SteeringVector(ms.Site(layer, "resid_post"), torch.arange(4.0) + layer) for layer in (0, 10, 2)]
    path = ms.export(ms.join(parts), tmp_path / "steering.json", "easysteer").path
    (vector,) = json.loads(path.read_text())["vectors"]
    assert vector["data"]["sha256"] == "48203cc267ab4acccc7774d3830ac2488f816286f1176ed99978ec2a5c69b0eb"
    sent = {name: np.frombuffer(base64.b64decode(one["data"]), "f4") for name, one in vector["data"]["tensors"].items()}
    assert {name: values.tolist() for name, values in sent.items()} == {
        f"layer.{layer}": [layer, layer + 1, layer + 2, layer + 3] for layer in (0, 2, 10)
    }


def test_a_specification_of_easysteer_is_read_with_the_file_that_it_names(shared, tmp_path):
    """The one that its guide for servers shows."""
    shutil.copy(shared / "data/easysteer/vectors/happy_diffmean.gguf", tmp_path)
    vector = {
        "source": "happy_diffmean.gguf", "scale": 2.0, "layers": [*range(10, 26)], "normalize": False,
        "apply": {"prompt": "all", "generation": "all"},
    }  # fmt: skip

    def read(**changed: object) -> ms.Intervention:
        (tmp_path / "steering.json").write_text(json.dumps({"vectors": [vector | changed]}))
        return ms.load_intervention(tmp_path / "steering.json")

    steer = read()
    assert steer.sites == tuple(ms.Site(layer, "resid_post") for layer in range(10, 26))
    assert all(abs(shift.norm - 2) < 1e-4 for shift in steer.shifts.values())
    assert read(apply={"generation": "all", "prompt": None}).origin.positions == "completion"
    for changed, message in (
        ({"normalize": True}, "does more than to add vectors"), ({"algorithm": "erase"}, "does more than to add"),
        ({"apply": {"prompt_positions": [-1]}}, "no positions here. Those are .*'generation': 'all'"),
        ({"source": "sad.gguf"}, "which is not there. Put it beside"), ({"source": "x" * 5000}, "which is not there"),
        ({"source": 7}, "damaged: 'source' is a number"), ({"layers": "3"}, "damaged: 'layers' is no list"),
        ({"layers": [40]}, "nothing for layer 40"), ({"source": None}, "damaged"),
        ({"source": None, "data": {"version": 2, "kind": "direction"}}, "version 2"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read(**changed)


def test_a_format_that_is_only_written_says_that_it_was_not_checked(tmp_path, mechsteer):
    (tmp_path / "words.py").write_text(
        '"""A name in words."""\nFAMILY = "format"\nNAME = "words"\nSAYS = {"forms": None, "places": None}\n'
        "def write(intervention, path):\n    path.write_text(intervention.name)\n    return [path]\n"
    )
    path = ms.SteeringVector("1:resid_post", torch.ones(4)).save(tmp_path / "a.safetensors")
    extended = ("--extend", tmp_path / "words.py")
    code, said, _ = mechsteer("export", path, "--to", "words", "--out", tmp_path / "a.txt", *extended)
    assert code == 0 and "cannot be read back" in said and (tmp_path / "a.txt").read_text() == "a vector 1:resid_post"
    code, _, error = mechsteer("inspect", f"{tmp_path}/a.txt#format=words", *extended)
    assert code == 2 and "'words' is only written" in error


def test_every_token_is_steered_or_all_but_the_one_that_begins_a_text(tiny):
    model = tiny("llama")
    vector = random_intervention("vector", ms.Site(1, "resid_post"), model)
    h = {}
    for positions in ("all", "every"):
        batch = ms.TokenBatch(torch.tensor([TOKENS]), *[torch.ones(1, len(TOKENS), dtype=torch.bool)] * 2)
        with torch.no_grad(), ms.steer(model, vector, 1.0, positions) as audit:
            h[positions] = model.logits(batch)[0, 0]
        assert audit.n_positions == len(TOKENS) - (positions == "all")
    assert (h["all"] - h["every"]).abs().max() > 1e-2


def test_the_command_line_exports_inspects_and_uses_what_it_wrote(guestbook, tmp_path, mechsteer):
    steer = ms.join(
        [random_intervention("lora", ms.Site(1, "mlp.out"), guestbook)],
    )
    steer = dataclasses.replace(
        steer, origin=ms.Origin(method="SFT", model="guestbook", fingerprint=guestbook.fingerprint)
    )
    path, out = steer.save(tmp_path / "a.safetensors"), tmp_path / "adapter"
    code, said, _ = mechsteer(
        "export", path, "--to", "peft", "--out", out, "--multiplier", 0.1, "--device", "cpu", "--json"
    )
    done = json.loads(said)
    assert code == 0 and done["difference"] < 1e-6 and done["losses"] < 1e-3 < done["effect"]
    code, said, _ = mechsteer("inspect", out, "--model", "guestbook", "--device", "cpu")
    assert code == 0 and "LoRA folder of PEFT" in said and "layers.1.mlp.down_proj" in said and "multiplier 0.1" in said
    told = json.loads(mechsteer("inspect", f"{out}#scale=10", "--json")[1])
    assert told["sites"][0]["norm"] == pytest.approx(steer.shifts[ms.Site(1, "mlp.out")].norm, rel=1e-5)
    code, said, _ = mechsteer(
        "generate", "--intervention", f"{out}#scale=10", "--device", "cpu", "-m", "0,1", "the soup", "--json"
    )
    assert code == 0 and len(json.loads(said)["answers"]["the soup"]) == 2
    code, _, error = mechsteer("export", path, "--to", "gguf-vector", "--out", tmp_path / "a.gguf")
    assert code == 2 and "cannot express a LoRA" in error


def test_inspect_says_what_it_must_be_told(tmp_path, mechsteer):
    torch.save(torch.ones(4), tmp_path / "vector.pt")
    code, said, _ = mechsteer("inspect", tmp_path / "vector.pt")
    assert code == 0 and "Name the format" in said and "shape (4,)" in said
    code, said, _ = mechsteer("inspect", f"{tmp_path / 'vector.pt'}#format=easyedit")
    assert code == 0 and "#layer=...: the block, counted from 0" in said
    code, _, error = mechsteer("inspect", tmp_path / "vector.pt", "--pairs", "guestbook/sentiment")
    assert code == 2 and "--pairs came without --model" in error


def test_a_factor_or_a_rule_that_a_file_leaves_open_is_told_once(tmp_path, capsys):
    torch.save(torch.arange(12.0).view(3, 4), file := tmp_path / "DiffMean_weight.pt")
    said = f"{file}#layer=2#row=1"
    for more in ("#scale=4", "#norm=4"):
        ms.load_intervention(f"{said}{more}")
        assert not capsys.readouterr().err
    told = [ms.load_intervention(said) and capsys.readouterr().err for _ in range(2)]
    assert "DiffMean_weight.pt says no factor, so 1 is assumed" in told[0] and not told[1]
    assert any("by which factor" in one and "#scale=" in one for one in inspect(said)["unknown"])
    torch.save(torch.ones(4), file := tmp_path / "direction.pt")
    assert any(
        "added or projected out; --rule project_out" in one
        for one in inspect(f"{file}#format=refusal-direction#layer=1")["unknown"]
    )
    assert not capsys.readouterr().err


def test_what_a_file_hints_of_its_model_is_told(tmp_path, mechsteer):
    path = write_gguf(
        tmp_path / "a.gguf", "controlvector", {"controlvector.model_hint": "qwen2"}, {"direction.1": torch.ones(4)}
    )
    code, said, _ = mechsteer("inspect", path)
    assert code == 0 and "the model that it was made for; its controlvector.model_hint is 'qwen2'" in said
    assert "adds m·(ΔW h + Δb) to the output" in said


def test_a_shift_of_any_width_says_which_it_has(tiny):
    with pytest.raises(InputError, match=r"This vector has width 128, but the site 1:resid_post of .* has width 32\."):
        ms.SteeringVector("1:resid_post", torch.ones(128)).check_fits(tiny("llama"))


def test_a_steer_that_is_used_at_another_precision_says_so(stories, tmp_path, capsys):
    vector = ms.SteeringVector("1:resid_post", torch.ones(64), origin=ms.Origin(dtype="bfloat16"))
    check_model(vector, stories)
    assert "learned at bfloat16 and is used at float32" in capsys.readouterr().err
    check_model(dataclasses.replace(vector, origin=ms.Origin(dtype="float32")), stories)
    assert not capsys.readouterr().err
    other = ms.Origin(model="other-Q4_1.gguf", fingerprint="0" * 16, dtype="bfloat16")
    vector = dataclasses.replace(vector, origin=other)
    with pytest.raises(InputError, match="made for another model; .*precision \\('bfloat16' against 'float32'\\)"):
        check_model(vector, stories)
    place = {"device": "cpu", "device_map": None, "dtype": None}
    open_steered(vector.save(tmp_path / "a.safetensors"), stories.name, rule=None, any_model=True, **place)
    assert "'other-Q4_1.gguf' against" in (said := capsys.readouterr().err) and "precision ('bfloat16'" in said


def test_a_study_says_so_of_a_steer_of_another_precision(stories, tmp_path, capsys):
    origin = ms.Origin(fingerprint=stories.fingerprint, dtype="bfloat16")
    path = ms.SteeringVector("1:resid_post", torch.ones(64), origin=origin).save(tmp_path / "a.safetensors")
    for_study(str(path), "a", stories.identity, "raw")
    assert "learned at bfloat16 and is used at float32" in capsys.readouterr().err
    other = dataclasses.replace(stories.identity, weights="0" * 16)
    with pytest.raises(InputError, match="learned at bfloat16, and the study is at float32"):
        for_study(str(path), "a", other, "raw")


def test_a_steer_from_one_quantisation_that_is_used_on_another_names_both(stories, tmp_path, capsys):
    """One that is elsewhere by its name, one that is here as it says itself."""
    here = str(write_gguf(tmp_path / "model.gguf", "llama", {"general.file_type": 15}, {"a": torch.ones(1)}))
    model = dataclasses.replace(stories.identity, name=here)
    origin = ms.Origin(model="$ELSEWHERE/model.q4_1.gguf", dtype="float32")
    vector = ms.SteeringVector("1:resid_post", torch.ones(64), origin=origin)
    tell_precision(vector, model)
    assert "learned at float32, from Q4_1 and is used at float32, from Q4_K_M" in capsys.readouterr().err
    for name in ("other.gguf", "somebody/model", here):
        tell_precision(dataclasses.replace(vector, origin=dataclasses.replace(origin, model=name)), model)
    tell_precision(vector, stories.identity)
    assert not capsys.readouterr().err
    path = dataclasses.replace(vector, origin=dataclasses.replace(origin, fingerprint="0" * 16)).save(tmp_path / "a")
    with pytest.raises(InputError, match="learned at float32, from Q4_1, and the study is at float32, from Q4_K_M"):
        for_study(str(path), "a", model, "raw")


@pytest.mark.slow
def test_a_study_measures_steers_of_others_beside_its_own(tmp_path, guestbook):
    from analyses.studies.settings import Settings
    from analyses.studies.study import run

    vector = random_intervention("vector", ms.Site(2, "resid_post"), guestbook)
    torch.save(vector.direction, tmp_path / "theirs.pt")
    adapter = random_intervention("lora", ms.Site(1, "mlp.out"), guestbook)
    ms.export(adapter, tmp_path / "adapter", "peft", model=guestbook, multiplier=0.1)
    settings = Settings(
        methods=("DiffMean",), forms=("vector",), limit=48, site="3:resid_mid", multipliers="-1:1:3", panel=0, device="cpu",
        claims=(), intervention=(f"{tmp_path}/theirs.pt#format=easyedit#layer=2", f"{tmp_path}/adapter"),
    )  # fmt: skip
    study = run(settings, tmp_path / "study", report=lambda line: None)
    swept = {(sweep.key.method, sweep.key.form, sweep.key.sites, sweep.key.positions): sweep for sweep in study.sweeps}
    assert set(swept) == {
        ("DiffMean", "vector", "3:resid_mid", "all"), ("theirs", "vector", "2:resid_post", "all"),
        ("adapter", "lora", "1:mlp.out", "all"),
    }  # fmt: skip
    again = ms.load_intervention(tmp_path / "study/interventions/theirs-vector.safetensors")
    assert torch.equal(again.parameters["direction"], vector.direction)
    expected = ms.run_sweep(guestbook, again, ms.load_pairs(tmp_path / "study/pairs.jsonl"), [-1, 0, 1], progress=False)
    found = next(sweep for (method, *_), sweep in swept.items() if method == "theirs")
    assert abs(found.preference - expected.preference).max() < 1e-4
    # A name is no content: another vector would be another unit.
    assert again.content == vector.content != vector.scaled(2).content


@pytest.mark.slow
def test_claims_say_of_a_steer_that_came_in_a_file_what_they_say_where_it_was_learned(
    tmp_path, mechsteer, undrawn, few_claims
):
    asked = (
        "--site=2:resid_post", "--multipliers=-6:6:5", "--limit=48", "--methods=DiffMean", "--forms=vector", "--panel=0",
        "--device=cpu",
    )  # fmt: skip
    assert mechsteer("study", "--out", tmp_path / "learned", *asked)[0] == 0
    learned = ms.load_intervention(tmp_path / "learned/interventions/diffmean-vector.safetensors")
    path = ms.export(learned, tmp_path / "theirs.gguf", "gguf-vector").path
    imported = (f"--intervention={path}", "--claims=theirs-vector")
    code, printed, _ = mechsteer("study", "--out", tmp_path / "imported", *asked, *imported)
    assert code == 0 and printed.startswith("WORKED")
    said: dict[str, dict[tuple[str, str], dict]] = {"DiffMean": {}, "theirs": {}}
    for study, method in (("learned", "DiffMean"), ("imported", "theirs")):
        for claim in json.loads((tmp_path / study / "claims.json").read_text()):
            if claim["method"] == method:
                assert (claim["sites"], claim["positions"]) == ("2:resid_post", "all")
                said[method][claim["claim"], claim["part"]] = claim
    assert {claim for claim, _ in said["theirs"]} == {"control", "linear_region"}
    for name, claim in said["theirs"].items():
        for what in ("outcome", "because", "estimate", "low", "high"):
            assert claim[what] == said["DiffMean"][name][what], (name, what)


@pytest.mark.parametrize("claims", ["theirs-vector", "their-s-lora"])
def test_claims_are_named_after_a_steers_file(claims):
    from analyses.studies.settings import Settings

    name = claims.rpartition("-")[0]
    assert Settings(intervention=(f"x/{name}.pt#format=easyedit",), claims=(claims,)).claims == (claims,)
    with pytest.raises(InputError, match="is not METHOD-FORM"):
        Settings(claims=(claims,))


@pytest.mark.parametrize("claims", ["SPLIT-vector", "DiffMean-lora"])
def test_claims_are_asked_of_what_a_study_learns(claims):
    from analyses.studies.settings import Settings

    asked = {"methods": ("DiffMean",), "forms": ("vector", "lora")}
    with pytest.raises(InputError, match=f"does not learn {claims}.* it learns DiffMean-vector"):
        Settings(**asked, claims=(claims,)).check_judgeable()
    Settings(**asked, claims=(claims,), intervention=(f"x/{claims.partition('-')[0]}.safetensors",)).check_judgeable()
    Settings(methods=("SPLIT",), forms=("vector",)).check_judgeable()


def test_a_format_that_has_a_name_for_the_site_is_told_of(tiny, tmp_path):
    steer = steer_of("vector", "resid_mid", tiny("llama"), (1,))
    with pytest.raises(InputError, match="in more formats where --model names its model"):
        ms.export(steer, tmp_path / "a.gguf", "gguf-vector")
    with pytest.raises(InputError, match="can be written as mechsteer, .*peft"):
        ms.export(steer, tmp_path / "a.gguf", "gguf-vector", model=tiny("llama"))
