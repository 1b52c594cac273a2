"""GGUF files: what is opened is what was written, the second time without unpacking; every fault is one sentence."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, quants

import mechsteer as ms
from mechsteer.models import gguf
from mechsteer.models.identity import remember, remembered
from mechsteer.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from rounded import rounded  # noqa: E402

LETTERS = ["Ġ", *"abcdefghijklmnopqrstuvwxyz.,!?"]
MERGES = ["Ġ a", "t h", "th e"]
TOKENS = ["<unk>", "<s>", "</s>", "<|user|>", *LETTERS, *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = "{% for m in messages %}<|user|>{{ m['content'] }}</s>{% endfor %}"
CONFIG = dict(
    vocab_size=len(TOKENS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=64, max_position_embeddings=64, rope_theta=10000.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)  # fmt: skip
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "model.layers": "blk", "model.embed_tokens": "token_embd",
    "model.norm": "output_norm", "lm_head": "output",
}  # fmt: skip


def written(path: Path, *, tied: bool = False, architecture: str = "llama", tokens=TOKENS, more=None, parts: int = 1):
    """A tiny Llama as llama.cpp writes it, its down-projections in blocks of Q8_0; and the same model in Hugging Face's form."""
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(**CONFIG, tie_word_embeddings=tied)
    ).eval()
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(64), writer.add_block_count(2), writer.add_embedding_length(32)
    writer.add_feed_forward_length(64), writer.add_head_count(4), writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6), writer.add_rope_freq_base(10000.0), writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(TOKENS)), writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("default")
    (
        writer.add_token_list(tokens),
        writer.add_token_types([3] * 4 + [1] * (len(tokens) - 4)),
        writer.add_token_merges(MERGES),
    )
    writer.add_unk_token_id(0), writer.add_bos_token_id(1), writer.add_eos_token_id(2), writer.add_pad_token_id(0)
    writer.add_add_bos_token(True), writer.add_chat_template(TEMPLATE)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    for name, parameter in hf.named_parameters():
        values = parameter.detach().numpy()
        for ours, its in NAMES.items():
            name = name.replace(ours, its)
        for of, n_heads in {"attn_q": 4, "attn_k": 2}.items():
            if of in name:  # llama.cpp turns neighbouring pairs, Hugging Face halves
                values = values.reshape(n_heads, 2, -1, 32).swapaxes(1, 2).reshape(values.shape)
        if "ffn_down" in name:
            blocks = quants.quantize(values, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType.Q8_0)
            parameter.data = torch.from_numpy(quants.dequantize(blocks, GGMLQuantizationType.Q8_0))
        else:
            writer.add_tensor(name, np.ascontiguousarray(values))
    for name in more or ():
        writer.add_tensor(name, np.ones(4, dtype=np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    return hf


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory) -> tuple[Path, transformers.PreTrainedModel]:
    folder = tmp_path_factory.mktemp("gguf")
    return folder / "tiny.gguf", written(folder / "tiny.gguf")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    monkeypatch.setenv("MECHSTEER_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def fresh_cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("MECHSTEER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def never_unpacked(monkeypatch):
    return lambda: monkeypatch.setattr(gguf, "_unpack", lambda *_: pytest.fail("unpacked again"))


@pytest.mark.parametrize("tied", [False, True])
def test_a_gguf_file_opens_as_the_model_that_was_written(tied, tmp_path):
    hf = written(tmp_path / "a.gguf", tied=tied)
    model = ms.load_model(tmp_path / "a.gguf", device="cpu")
    tokens = torch.arange(12)[None]
    whole = torch.ones_like(tokens, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(
            model.logits(ms.TokenBatch(tokens, whole, whole)), hf(tokens).logits, atol=1e-5, rtol=0
        )
    assert model.fingerprint == ms.load_model(hf, device="cpu").fingerprint


def test_its_tokenizer_says_what_the_file_says(tiny_gguf):
    tokenizer = ms.load_model(tiny_gguf[0], device="cpu").require_tokenizer()
    assert tokenizer.convert_ids_to_tokens(range(len(TOKENS))) == TOKENS
    assert tokenizer("the a")["input_ids"] == [1, TOKENS.index("the"), TOKENS.index("Ġa")]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<unk>")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) == "<|user|>a</s>"


def test_a_folder_and_a_repository_that_hold_one_open_as_it(tiny_gguf, tmp_path, never_unpacked):
    path, _ = tiny_gguf
    fingerprint = ms.load_model(path, device="cpu").fingerprint
    never_unpacked()
    fetched = tmp_path / "hub/models--own--tiny/snapshots/0a"
    fetched.mkdir(parents=True)
    (fetched / path.name).symlink_to(path)
    (fetched.parents[1] / "refs").mkdir()
    (fetched.parents[1] / "refs/main").write_text("0a")
    hub = {"cache_dir": tmp_path / "hub", "local_files_only": True}
    for name, options in {
        str(path.parent): {}, str(path): {}, "own/tiny": hub, "own/tiny/tiny.gguf": hub,
    }.items():  # fmt: skip
        assert ms.load_model(name, device="cpu", **options).fingerprint == fingerprint
    assert ms.load_model("own/tiny", device="cpu", gguf_file="tiny.gguf", **hub).fingerprint == fingerprint
    with pytest.raises(ms.InputError, match="'own/tiny' holds no other.gguf, but tiny.gguf"):
        ms.load_model("own/tiny/other.gguf", device="cpu", **hub)


def test_a_dtype_is_unpacked_to_at_once(tiny_gguf):
    half = ms.load_model(tiny_gguf[0], device="cpu", dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.fingerprint == ms.load_model(tiny_gguf[0], device="cpu").fingerprint


def test_the_second_opening_unpacks_nothing_unless_the_cache_is_damaged(tiny_gguf, fresh_cache, monkeypatch):
    path, unpack, unpacked = tiny_gguf[0], gguf._unpack, []
    monkeypatch.setattr(gguf, "_unpack", lambda *given: (unpacked.append(path), unpack(*given)))
    fingerprint = ms.load_model(path, device="cpu").fingerprint
    (entry,) = (fresh_cache / "gguf").glob("*-float32")
    made = json.loads((entry / "made.json").read_text())
    made["versions"]["transformers"] = "5.0"
    weights = (entry / "model.safetensors").read_bytes()
    for harm in (
        lambda: None,
        lambda: (entry / "config.json").unlink(),
        lambda: (entry / "model.safetensors").write_bytes(weights[:-100]),
        lambda: (entry / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\0"),
        lambda: (entry / "made.json").write_text(json.dumps(made)),
        lambda: (entry / "made.json").unlink(),
        lambda: os.rename(entry, fresh_cache / "elsewhere"),
    ):
        harm()
        assert ms.load_model(path, device="cpu").fingerprint == fingerprint
    assert len(unpacked) == 7


@pytest.mark.slow
def test_a_finished_study_of_a_file_is_told_without_its_model(tiny_gguf, tmp_path, monkeypatch, mechsteer, undrawn):
    monkeypatch.chdir(tmp_path)
    words = [*"bcdefghi"]
    rows = [{"query": f"the {w}", "positive": f" a{w}", "negative": f" b{w}"} for w in words]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for model in (tiny_gguf[0], tiny_gguf[0].parent):
        command = (
            "study", "--model", model, "--pairs=pairs.jsonl", "--site=1:mlp.out", "--multipliers=-1:1:5", "--methods=DiffMean",
            "--forms=vector", "--claims=", "--device=cpu", "--out", f"results/{model.name}",
        )  # fmt: skip
        code, first, err = mechsteer(*command)
        assert code == 0, err
        with monkeypatch.context() as patch:
            patch.setattr("mechsteer.load_model", lambda *_, **__: pytest.fail("opened again"))
            code, again, err = mechsteer(*command)
        assert (code, again) == (0, first) and "nothing was to do" in err


def test_a_rounded_file_has_other_blocks_and_nothing_else_changed(tiny_gguf, tmp_path):
    again = rounded(tiny_gguf[0], tmp_path / "tiny.rounded-Q4_0.gguf", GGMLQuantizationType.Q4_0)
    before, after = (GGUFReader(path) for path in (tiny_gguf[0], again))
    for name, field in before.fields.items():
        if not name.startswith("GGUF."):
            assert after.fields[name].contents() == field.contents()
    assert [tensor.name for tensor in after.tensors] == [tensor.name for tensor in before.tensors]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        values = [quants.dequantize(tensor.data, tensor.tensor_type) for tensor in (old, new)]
        if "ffn_down" in old.name:
            # Sixteen steps over a block, the largest number on one of them.
            assert new.tensor_type == GGMLQuantizationType.Q4_0
            step = np.abs(values[0].reshape(-1, 32)).max(axis=1) / 8
            off = np.abs(values[1] - values[0]).reshape(-1, 32).max(axis=1)
            assert (off > 0).any() and (off <= 1.01 * step).all()
        else:
            assert new.tensor_type == old.tensor_type and np.array_equal(*values)
    assert ms.load_model(again, device="cpu").fingerprint != ms.load_model(tiny_gguf[0], device="cpu").fingerprint


def test_a_file_is_remembered_until_it_changes(tmp_path, tiny):
    store, path = Store(tmp_path / "store"), tmp_path / "a.gguf"
    store.prepare()
    path.write_bytes(b"GGUF")
    remember(store, path, None, tiny("llama").identity)
    assert remembered(store, path, None) == tiny("llama").identity
    assert remembered(store, path, "bfloat16") is None
    path.write_bytes(b"GGUF ")
    assert remembered(store, path, None) is None


def halved(folder: Path) -> None:
    written(folder / "a.gguf")
    (folder / "a.gguf").write_bytes((folder / "a.gguf").read_bytes()[:-3000])


def pointed(folder: Path) -> None:
    (folder / "a.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


FAULTS = {
    "an unknown architecture": (lambda f: written(f / "a.gguf", architecture="abacus"), "architecture abacus is not supported"),
    "cut short": (halved, "a.gguf' is cut short or damaged"),
    "no header": (lambda f: (f / "a.gguf").write_bytes(b"GGUF\x03"), "a.gguf' is cut short or damaged"),
    "another file": (lambda f: (f / "a.gguf").write_text("It is not one, though it is called so."), "cut short or damaged"),
    "a pointer": (pointed, "a.gguf' is a Git LFS pointer"),
    "one of two parts": (lambda f: written(f / "a.gguf", parts=2), "is one of 2 parts"),
    "a tensor that would be left out": (
        lambda f: written(f / "a.gguf", more=["rope_freqs.weight"]), r"Of the [\d,]+ numbers in .* would use [\d,]+, so",
    ),
    "a token twice": (
        lambda f: written(f / "a.gguf", tokens=["a" if t == "?" else t for t in TOKENS]), "number of tokens is 37, not 38"
    ),
    "several files": (
        lambda f: [written(f / name) for name in ("a.gguf", "b.gguf")], r"holds several GGUF files: a\.gguf, b\.gguf\. Name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_a_study_with_one_sentence_and_leaves_nothing(
    fault, tmp_path, fresh_cache, monkeypatch, capsys, mechsteer
):
    harm, message = FAULTS[fault]
    folder = tmp_path / "model"
    folder.mkdir()
    harm(folder)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    code, out, err = mechsteer("study", "--model", folder, "--site=1:mlp.out", "--device=cpu")
    assert (code, out) == (2, "")
    *before, said = err.splitlines()
    assert all(line.startswith("unpacking a.gguf") for line in before)
    assert re.fullmatch(r"mechsteer: .+\.", said) and re.search(message, said), err
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "cache"}
    assert not [path for path in fresh_cache.glob("gguf/*") if path.suffix != ".lock"]
