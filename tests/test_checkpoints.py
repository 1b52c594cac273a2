"""Opening checkpoints: what is whole opens as what it is, and every fault is one sentence that leaves nothing behind."""

import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from conftest import D_VOCAB, FAMILIES, MORE_FAMILIES, build_hf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.utils.quantization_config import QuantizationMethod

import mechsteer as ms
from mechsteer.models.model import CONTEXT_LENGTHS

SMALL = dict(vocab_size=D_VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
ENCODER_DECODER = dict(
    vocab_size=D_VOCAB, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=48, decoder_ffn_dim=48, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
)  # fmt: skip
OTHERS = {
    "llama, tied": lambda: transformers.LlamaConfig(**SMALL, num_key_value_heads=2, tie_word_embeddings=True),
    "mixtral": lambda: transformers.MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=2),
    "falcon": lambda: transformers.FalconConfig(**{k: v for k, v in SMALL.items() if k != "intermediate_size"}),
    "bloom": lambda: transformers.BloomConfig(vocab_size=D_VOCAB, hidden_size=32, n_layer=2, n_head=4),
}


def words(n: int) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of n words."""
    inner = Tokenizer(models.WordLevel({f"w{index}": index for index in range(n)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="w1", eos_token="w2")


def save(hf: transformers.PreTrainedModel, folder: Path, n_words: int = D_VOCAB) -> Path:
    """A whole checkpoint."""
    hf.save_pretrained(folder)
    words(n_words).save_pretrained(folder)
    return folder


def from_config(
    config: transformers.PreTrainedConfig, kind: str = "AutoModelForCausalLM"
) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    return getattr(transformers, kind).from_config(config)


def edit(folder: Path, file: str, **changes: object) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def point(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123456\n")


def pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def shard(folder: Path) -> None:
    """In pieces, of which one is missing."""
    (folder / "model.safetensors").unlink()
    build_hf("llama").save_pretrained(folder, max_shard_size="40kB")
    next(folder.glob("model-00002-of-*.safetensors")).unlink()


def bring_code(folder: Path, file: str, classes: dict[str, str], **changes: object) -> None:
    (folder / "own.py").write_text(f"open({str(folder / 'it ran')!r}, 'w')")
    edit(folder, file, auto_map={kind: f"own.{name}" for kind, name in classes.items()}, **changes)


def take(*names: str):
    return lambda folder: edit_weights(folder, lambda weights: [weights.pop(name) for name in names])


def add(name: str):
    return lambda folder: edit_weights(folder, lambda weights: weights.update({name: torch.zeros(48)}))


DOWN = "model.layers.{}.mlp.down_proj.weight"
FAULTS = {
    "a missing weight": (take(DOWN.format(1)), r"lacks model\.layers\.1\.mlp\.down_proj\.weight, which would be random"),
    "missing weights": (take(DOWN.format(0), DOWN.format(1)), "lacks .*layers.0.mlp.* and 1 other, which"),
    "a weight too many": (add("model.layers.0.mlp.gate_proj.bias"), "holds model.layers.0.mlp.gate_proj.bias, for which"),
    "another size": (lambda f: edit(f, "config.json", intermediate_size=44), r"9 are not of .* \(32, 48\), not \(32, 44\)"),
    "another type": (lambda f: edit(f, "config.json", model_type="mistral"), "names the architecture LlamaForCausalLM"),
    "another architecture": (lambda f: edit(f, "config.json", architectures=["GemmaForCausalLM"]), "open it as LlamaForC"),
    "an unknown type": (lambda f: edit(f, "config.json", model_type="abacus"), "No model could be opened"),
    "a pointer for weights": (lambda f: point(f / "model.safetensors"), "model.safetensors' is a Git LFS pointer"),
    "a pointer for the configuration": (lambda f: point(f / "config.json"), "config.json' is a Git LFS pointer"),
    "a pointer for the tokenizer": (lambda f: point(f / "tokenizer.json"), "tokenizer.json' is a Git LFS pointer"),
    "weights cut short": (lambda f: cut(f / "model.safetensors", 0.7), "model.safetensors' is cut short or damaged"),
    "weights cut to nothing": (lambda f: cut(f / "model.safetensors", 0), "model.safetensors' is cut short or damaged"),
    "a configuration cut short": (lambda f: cut(f / "config.json", 0.5), "not a valid JSON"),
    "a tokenizer cut short": (lambda f: cut(f / "tokenizer.json", 0.5), "No tokenizer could be opened"),
    "a missing piece": (shard, "No model could be opened.*00002-of"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "No model could be opened.*model.safetensors"),
    "a pickle": (pickle, r"are a pickle \(pytorch_model.bin\).*use_safetensors=False"),
    "code for the model": (
        lambda f: bring_code(f, "config.json", {"AutoConfig": "C", "AutoModelForCausalLM": "M"}, model_type="own"),
        "model at .* needs Python code.*trust_remote_code=True",
    ),
    "code for the tokenizer": (
        lambda f: bring_code(f, "tokenizer_config.json", {"AutoTokenizer": ["T", None]}, tokenizer_class="T"),
        "tokenizer at .* needs Python code|No tokenizer could be opened",
    ),
    "too many words": (lambda f: words(70).save_pretrained(f), r"has 9 tokens that .* lacks, such as 'w61' \(id 61"),
}  # fmt: skip
OTHER_KINDS = {
    "both directions": (
        lambda: from_config(transformers.BertConfig(**SMALL, max_position_embeddings=64)),
        "lets a token see what comes after it",
    ),
    "an encoder and a decoder": (
        lambda: from_config(transformers.BartConfig(**ENCODER_DECODER), "AutoModelForSeq2SeqLM"),
        "is an encoder with a decoder",
    ),
    "a classifier": (
        lambda: from_config(
            transformers.LlamaConfig(**SMALL, tie_word_embeddings=True), "AutoModelForSequenceClassification"
        ),
        "holds score.weight, for which",
    ),
    "a base model": (
        lambda: from_config(transformers.LlamaConfig(**SMALL), "AutoModel"),
        "lacks lm_head.weight, which",
    ),
    "a model of images": (
        lambda: from_config(
            transformers.ViTConfig(
                hidden_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=8, patch_size=4
            ),
            "AutoModel",
        ),
        "is no causal language model",
    ),
}


@pytest.fixture
def faulty(tmp_path):
    """A folder with one fault, and what is said of it."""

    def make(fault: str) -> tuple[Path, str]:
        folder = tmp_path / "model"
        if fault in OTHER_KINDS:
            build, message = OTHER_KINDS[fault]
            return save(build(), folder), message
        harm, message = FAULTS[fault]
        harm(save(build_hf("llama"), folder))
        return folder, message

    return make


@pytest.fixture
def nobody_answers(monkeypatch):
    """Nothing may ask, and nothing goes to the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("somebody was asked"))


@pytest.mark.parametrize("fault", [*FAULTS, *OTHER_KINDS])
def test_a_fault_of_a_model_ends_a_study_with_one_sentence_and_leaves_nothing(
    faulty, fault, tmp_path, monkeypatch, capsys, mechsteer, nobody_answers
):
    folder, message = faulty(fault)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    code, out, err = mechsteer("study", "--model", folder, "--site=1:mlp.out", "--multipliers=-1:1:21", "--device=cpu")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"mechsteer: [^\n]+\.\n", err), err
    assert re.search(message, err), err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (folder / "it ran").exists()


def test_pickled_weights_open_if_they_are_asked_for(faulty, tiny):
    folder, _ = faulty("a pickle")
    assert ms.load_model(folder, device="cpu", use_safetensors=False).fingerprint == tiny("llama").fingerprint


def test_code_runs_if_it_is_asked_for(faulty, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, _ = faulty("code for the model")
    with pytest.raises(AttributeError, match="own"):
        ms.load_model(folder, device="cpu", trust_remote_code=True)
    assert (folder / "it ran").exists()


@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES, *OTHERS])
def test_whole_checkpoints_of_many_families_open_as_they_were_saved(family, tmp_path):
    hf = from_config(OTHERS[family]()) if family in OTHERS else build_hf(family)
    fingerprint = ms.load_model(save(hf, tmp_path), device="cpu").fingerprint
    assert fingerprint == ms.load_model(hf, device="cpu").fingerprint


def test_weights_in_pieces_open_as_one(tmp_path, tiny):
    save(build_hf("llama"), tmp_path / "whole")
    build_hf("llama").save_pretrained(tmp_path, max_shard_size="40kB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert ms.load_model(tmp_path, device="cpu").fingerprint == tiny("llama").fingerprint


def test_where_no_vocabulary_lies_there_is_no_tokenizer_rather_than_an_empty_one(tmp_path):
    build_hf("gpt2").save_pretrained(tmp_path)
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path)) < 5
    assert ms.load_model(tmp_path, device="cpu").tokenizer is None


def test_padding_is_an_id_that_the_model_has(tiny):
    """A padding token added to the tokenizer alone lies beyond the model; texts are measured as without it."""
    pairs = [ms.PolarityPair("w3 w4", " w5", " w6"), ms.PolarityPair("w3", " w7 w8 w9 w10 w11", " w9")]
    losses = []
    for added in ({}, {"pad_token": "[PAD]"}):
        tokenizer = words(D_VOCAB)
        tokenizer.add_special_tokens(added)
        model = ms.load_model(build_hf("llama"), tokenizer=tokenizer, device="cpu")
        assert model.padding_token < D_VOCAB
        vector = ms.SteeringVector(ms.Site(1, "resid_post"), torch.ones(32))
        losses.append(ms.run_sweep(model, vector, ms.Pairs(tuple(pairs), "p"), [0.0], progress=False).loss_positive)
        assert len(ms.generate(model, ["w3", "w4 w5"], max_new_tokens=2, temperature=0)) == 2
    assert (losses[0] == losses[1]).all()


@pytest.mark.parametrize("name", CONTEXT_LENGTHS)
def test_a_text_longer_than_the_model_reads_is_refused_whatever_the_length_is_called(name, tiny, monkeypatch):
    model = tiny("llama")
    config = transformers.PreTrainedConfig(**{name: 9})
    monkeypatch.setattr(type(model.hf.config), "get_text_config", lambda self, **_: config)
    model.check_length(9, "The text")
    with pytest.raises(ms.InputError, match="The text has 10 tokens, and .* reads 9 at most"):
        model.check_length(10, "The text")


def test_a_quantised_model_says_so():
    """Its weights are moved without naming a dtype, which bitsandbytes forbids, and its settings are part of what it is."""
    said = {}
    for bits in (4, 8, 16):
        hf = build_hf("llama")
        if bits < 16:
            hf.config.quantization_config = transformers.BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
            hf.quantization_method = QuantizationMethod.BITS_AND_BYTES
        said[bits] = ms.load_model(hf).identity.quantisation
    assert len(set(said.values())) == 3 and said[16] == ""


def test_a_folder_has_no_revisions(tmp_path):
    with pytest.raises(ms.InputError, match="is a folder, which has no revisions. Leave the revision v1 out"):
        ms.load_model(tmp_path, revision="v1")
