"""Files of steers from other programs that are damaged, or made to do harm: one sentence, and nothing of them is run."""

import importlib.util
import json
import pickle
import random
import shutil
import struct
import sys
from pathlib import Path

import pytest
import torch
from conftest import random_intervention
from damages import damage
from safetensors.torch import save_file
from test_formats import OUT, steer_of

import mechsteer as ms
from mechsteer import InputError
from mechsteer.formats.gguf_files import write_gguf
from mechsteer.formats.modules import sites_of_modules, sites_of_tensors
from mechsteer.formats.named import index, read_formats, written_formats
from mechsteer.models.hooks import place_called

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import foreign
from peers import JUDGES

FOREIGN = [row for row in foreign.WRITERS if importlib.util.find_spec(JUDGES[row.judge][0])]
"""What those programs write that are here."""
FORMATS = [name for name in written_formats() if name in read_formats() and name not in ("mechsteer", "merged")]
PLACES = {"peft": "mlp.out", "gguf-lora": "mlp.out", "refusal-direction": "resid_pre"}
ASKED = {"persona-vectors": {"site": "1:resid_post"}, "easyedit": {"layer": 1}}
N = 15


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("has_beside", [True, False])
def test_a_damaged_file_is_refused_in_a_sentence_or_is_a_steer(tiny, tmp_path, format, has_beside):
    """Where mechsteer.json lies beside it, no damage of the steer itself goes unnoticed."""
    form = "lora" if format in ("peft", "gguf-lora") else "vector"
    steer = steer_of(form, PLACES.get(format, "resid_post"), tiny("llama"), (1,))
    for number in range(N):
        rng = random.Random(number)
        path = ms.export(steer, tmp_path / str(number) / OUT.get(format, "steer"), format, model=tiny("llama")).path
        beside = path / "mechsteer.json" if path.is_dir() else path.with_name(f"{path.name}.mechsteer.json")
        said = {} if has_beside else ASKED.get(format, {})
        if not has_beside:
            beside.unlink()
        files = [file for file in (path if path.is_dir() else path.parent).iterdir() if file != beside]
        whole = {file: file.read_bytes() for file in files}
        damage(rng.choice(sorted(files)), rng)
        is_whole = all(file.is_file() and file.read_bytes() == content for file, content in whole.items())
        try:
            found = ms.load_intervention(path, format=format, **said)
        except InputError as error:
            assert len(str(error)) < 1000 and "\n" not in str(error)
        else:
            assert is_whole or not has_beside
            assert isinstance(found, ms.Intervention)
        shutil.rmtree(tmp_path / str(number))


@pytest.mark.parametrize("row", FOREIGN, ids=lambda row: f"{row.format}-{row.form}")
def test_a_damaged_file_of_another_program_is_refused_in_a_sentence_or_is_a_steer(tmp_path, row):
    whole = tmp_path / "whole"
    whole.mkdir()
    path, said = foreign.WRITERS[row]("llama", whole)
    for number in range(N):
        rng = random.Random(number)
        copy = Path(shutil.copytree(whole, tmp_path / str(number)))
        broken = copy / path.relative_to(whole)
        damage(rng.choice(sorted((broken if broken.is_dir() else broken.parent).iterdir())), rng)
        try:
            assert isinstance(ms.load_intervention(broken, **said), ms.Intervention)
        except InputError as error:
            assert len(str(error)) < 1000 and "\n" not in str(error)
        shutil.rmtree(copy)


@pytest.mark.parametrize(("made", "message"), [
    (lambda by: torch.tensor(by), r"changed and of shape \(\), where a weight of floats with 2 axes"),
    (lambda by: torch.full((4, 4), by), r"changed and of shape \(4, 4\), where a bias of floats with 1 axes"),
    (lambda by: torch.full((4, 4), int(by)), "changed and a tensor of torch.int64, where a weight"),
    (lambda by: torch.full((4, 4), by).to(torch.float8_e4m3fn), "changed and a tensor of torch.float8_e4m3fn.*in float32"),
    (lambda by: torch.full((4, 4), by).to(torch.float8_e8m0fnu), "changed and a tensor of torch.float8_e8m0fnu"),
])  # fmt: skip
def test_checkpoints_whose_weights_are_none_that_a_steer_changes_are_refused(tmp_path, made, message):
    name = f"model.layers.1.mlp.down_proj.{'bias' if 'bias' in message else 'weight'}"
    for folder, by in (("base", 1.0), ("after", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text('{"model_type": "llama"}')
        save_file({name: made(by), "same": torch.ones(2, dtype=torch.int8)}, tmp_path / folder / "model.safetensors")
    with pytest.raises(InputError, match=message):
        ms.load_intervention(tmp_path / "after", base=str(tmp_path / "base"))


class Harm:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("format", ["easyedit", "persona-vectors", "refusal-direction", "axbench", "steering-vectors"])
@pytest.mark.parametrize("as_torch", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path, format, as_torch):
    path, harm = tmp_path / "layer_1.pt", tmp_path / "harm"
    content = {"layer_activations": {1: torch.ones(4)}, "more": Harm(harm)}
    torch.save(content, path) if as_torch else path.write_bytes(pickle.dumps(content))
    said = {"layer": 1, "row": 0, "site": "1:resid_post"}
    asks = {
        "easyedit": ["layer"],
        "persona-vectors": ["site"],
        "refusal-direction": ["layer"],
        "axbench": ["layer", "row"],
    }
    with pytest.raises(InputError, match=r"layer_1\.pt"):
        ms.load_intervention(path, format=format, **{name: said[name] for name in asks.get(format, [])})
    assert not harm.exists()


def test_a_gguf_file_that_claims_to_be_longer_than_it_is_ends(tmp_path):
    path = tmp_path / "steer.gguf"
    key = b"general.tags"
    said = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 0, 2**62)
    path.write_bytes(struct.pack("<IIQQ", 0x46554747, 3, 0, 1) + said)
    with pytest.raises(InputError, match=r"steer\.gguf' is damaged: .*ends too early"):
        ms.load_intervention(path)


@pytest.mark.parametrize(("tensors", "message"), [
    ({"direction.x": torch.ones(4)}, "no control vector"),
    ({"direction.1": torch.ones(4, 4)}, "no vectors"),
    ({"direction.1": torch.ones(0)}, "no vectors"),
    ({"direction.1": torch.ones(4), "direction.01": torch.ones(4)}, "two directions for one layer"),
    ({"blk.0.attn_q.weight": torch.ones(4)}, "no control vector"),
    ({"direction.1": torch.full((4,), torch.nan)}, "4 of 4 entries"),
])  # fmt: skip
def test_a_gguf_file_of_something_else_is_refused(tmp_path, tensors, message):
    path = write_gguf(tmp_path / "steer.gguf", "llama", {}, tensors)
    with pytest.raises(InputError, match=message):
        ms.load_intervention(path)


@pytest.mark.parametrize(("change", "message"), [
    ({"peft_type": "IA3"}, "of the kind 'IA3'"),
    ({"use_dora": True}, "more than a LoRA: it has use_dora"),
    ({"init_lora_weights": "pissa_niter_16"}, "the model's own weights as well"),
    ({"init_lora_weights": "OLoRA"}, "the model's own weights as well"),
    ({"kasa_config": {"beta": 1}}, "it has kasa_config"),
    ({"bias": "all"}, "biases of the model itself"),
    ({"lora_alpha": 10**400}, "no number"),
    ({"alpha_pattern": {"(?=a)": 1}}, "cannot be used .*Name the modules in full"),
    ({"alpha_pattern": {"[": 1}}, "cannot be used"),
    ({"alpha_pattern": {"\ud800": 1}}, "cannot be used"),
    ({"r": 99}, r"has rank \d in adapter_model.safetensors and 99 in"),
    ({"rank_pattern": {"down_proj": 99}}, r"has rank \d in adapter_model.safetensors and 99 in"),
    ({"alpha_pattern": {".*": "much"}}, "no number"),
    ({"alpha_pattern": ["x"]}, "adapter_config"),
    ({"r": None}, "'r' is null"),
])  # fmt: skip
def test_an_adapter_that_is_no_plain_lora_is_refused(tiny, tmp_path, change, message):
    steer = random_intervention("lora", ms.Site(1, "mlp.out"), tiny("llama"))
    path = ms.export(steer, tmp_path / "adapter", "peft", model=tiny("llama")).path
    (path / "mechsteer.json").unlink()
    config = path / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(InputError, match=message):
        ms.load_intervention(path)


def adapter(path: Path, name: str, **settings) -> Path:
    """A folder of PEFT's with one module, of rank 2."""
    path.mkdir(exist_ok=True)
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2} | settings))
    factors = {"A": torch.ones(2, 8), "B": torch.ones(8, 2)}
    save_file(
        {f"base_model.model.{name}.lora_{part}.weight": tensor for part, tensor in factors.items()},
        path / "adapter_model.safetensors",
    )
    return path


@pytest.mark.parametrize("pattern", [".*.*.*.*x", "(a|a)" * 30 + "x", "(.+)+x"])
def test_a_pattern_that_python_would_search_for_ever_is_matched_at_once(tmp_path, pattern):
    name = f"{'a.' * 80}layers.1.mlp.down_proj"
    path = adapter(tmp_path / "adapter", name, alpha_pattern={pattern: 1, rf".*{name[-9:]}": 6})
    assert ms.load_intervention(path).parameters["up"].unique().tolist() == [3]
    with pytest.raises(InputError, match="there is no site"):
        ms.load_intervention(adapter(path, f"{'h.1.' * 30_000}layers.1.mlp.down_proj"))


def test_an_adapter_that_is_elsewhere_or_a_pickle_says_where_and_how(tmp_path):
    path = adapter(tmp_path / "polite", "model.layers.1.mlp.down_proj")
    with pytest.raises(InputError, match="is a folder of no format that is known. Pass the subfolder 'polite'"):
        ms.load_intervention(tmp_path)
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")
    with pytest.raises(InputError, match="holds no adapter_model.safetensors.*save it again as safetensors"):
        ms.load_intervention(path)


UNUSABLE = {
    "a view of one number": lambda: torch.ones(1).expand(10**6, 10**6),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    "meta": lambda: torch.ones(2, 3, device="meta"),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8),
    "complex": lambda: torch.ones(2, 3, dtype=torch.complex64),
    "sparse": lambda: torch.ones(2, 3).to_sparse(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("made", UNUSABLE)
def test_a_tensor_whose_numbers_do_not_lie_in_the_file_is_refused(tmp_path, made, mechsteer):
    path = tmp_path / "a.pt"
    torch.save(UNUSABLE[made](), path)
    for said in ("easyedit#layer=1#row=0", "persona-vectors#site=1:resid_post", "refusal-direction#layer=1"):
        with pytest.raises(InputError, match="where a tensor of floats should be"):
            ms.load_intervention(f"{path}#format={said}")
    code, out, _ = mechsteer("inspect", path)
    assert code == 0 and "which no format reads" in out
    torch.save({"layer_activations": {1: UNUSABLE[made]()}}, path)
    with pytest.raises(InputError, match="where a tensor of floats should be"):
        ms.load_intervention(path, format="steering-vectors")


def test_a_whole_model_in_gguf_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "model.gguf", "llama", {}, {"blk.0.attn_q.weight": torch.ones(4, 4)})
    monkeypatch.setattr("mechsteer.formats.gguf_files.dequantize", lambda *given: pytest.fail("unpacked"))
    with pytest.raises(InputError, match="no control vector: its architecture is 'llama'"):
        ms.load_intervention(path)


@pytest.mark.parametrize(("modules", "said"), [
    (["self_attn.q_proj"], r"^At q_proj \('model.layers.0.self_attn.q_proj'\) there is no site"),
    (["self_attn.v_proj", "mlp.gate_proj", "mlp.down_proj"],
     r"^At gate_proj, v_proj \(4 of 6, such as 'model.layers.0.mlp.gate_proj'\) there is no site.*Open the merged model"),
])  # fmt: skip
def test_an_adapter_at_other_modules_says_at_which(tmp_path, modules, said):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    places = [f"layers.{layer}.{module}" for layer in range(len(modules) - 1 or 1) for module in modules]
    sizes = {"A": (2, 8), "B": (8, 2)}
    save_file(
        {
            f"base_model.model.model.{at}.lora_{part}.weight": torch.ones(size)
            for at in places
            for part, size in sizes.items()
        },
        tmp_path / "adapter_model.safetensors",
    )
    with pytest.raises(InputError, match=said):
        ms.load_intervention(tmp_path)


def test_a_lora_of_llama_cpp_at_other_tensors_says_at_which(tmp_path):
    tensors = {
        f"blk.0.{name}.weight.lora_{which}": torch.ones(2, 2) for name in ("ffn_up", "attn_output") for which in "ab"
    }
    path = write_gguf(tmp_path / "lora.gguf", "llama", {"general.type": "adapter", "adapter.type": "lora"}, tensors)
    with pytest.raises(InputError, match=r"^At ffn_up \(1 of 2, such as 'blk.0.ffn_up.weight'\) there is no site"):
        ms.load_intervention(path)


def test_factors_of_no_rank_are_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    down, up, name = torch.ones(0, 8), torch.ones(8, 0), "base_model.model.model.layers.0.mlp.down_proj"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match="no two factors that fit each other"):
        ms.load_intervention(tmp_path)


@pytest.mark.parametrize("digits", [6, 5000])
def test_no_layer_has_a_number_of_that_many_digits(tmp_path, digits):
    number = "1" * digits
    path = write_gguf(tmp_path / "steer.gguf", "controlvector", {}, {f"direction.{number[:50]}": torch.ones(4)})
    with pytest.raises(InputError, match="no control vector"):
        ms.load_intervention(path)
    with pytest.raises(InputError, match="there is no site"):
        sites_of_modules([f"model.layers.{number}.mlp.down_proj"])
    with pytest.raises(InputError, match="there is no site"):
        sites_of_tensors([f"blk.{number}.ffn_down.weight"])
    with pytest.raises(InputError, match="is none of the file's"):
        index(number, "row", 5)
    assert place_called(f"blocks.{number}.hook_resid_pre") is None
    with pytest.raises(InputError, match="not LAYER:PLACE"):
        ms.Site.parse(f"{number}:resid_post")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"directions": {"1": [1, "a"]}}', '{"model_type": "x", "directions": {}}',
    '{"model_type": "x", "directions": {"1": [1.0], "2": [1.0, 2.0]}}', "[" * 9999,
    f'{{"model_type": "x", "directions": {{"1": [1{"0" * 400}]}}}}',
    f'{{"model_type": "x", "directions": {{"{"1" * 5000}": [1.0]}}}}',
])  # fmt: skip
def test_a_file_of_json_that_holds_no_directions_is_refused(tmp_path, content):
    (tmp_path / "a.svec").write_text(content)
    with pytest.raises(InputError, match=r"a\.svec"):
        ms.load_intervention(tmp_path / "a.svec", layers=1)


@pytest.mark.parametrize(("fields", "message"), [
    ({"layer_activations": {}}, "holds no layer_activations"),
    ({"layer_activations": {"1": torch.ones(4)}}, "is no number"),
    ({"layer_activations": {1: torch.ones(4)}, "layer_type": ["mlp"]}, "which is no site"),
    ({"layer_activations": {1: torch.ones(4, dtype=torch.int32)}}, "where a tensor of floats should be"),
    ({"layer_activations": {-1: torch.ones(4)}}, "negative"),
])  # fmt: skip
def test_fields_that_are_no_steering_vector_are_refused(tmp_path, fields, message):
    torch.save(fields, tmp_path / "a.pt")
    with pytest.raises(InputError, match=message):
        ms.load_intervention(tmp_path / "a.pt", format="steering-vectors")


@pytest.mark.parametrize("decoder", [torch.tensor(1.0), torch.ones(3), torch.ones(2, 2, 2), None])
def test_an_sae_without_a_table_of_directions_is_refused(tmp_path, decoder):
    (tmp_path / "cfg.json").write_text(json.dumps({"hook_name": "blocks.1.hook_resid_post"}))
    save_file({"other": torch.ones(2)} if decoder is None else {"W_dec": decoder}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(InputError, match="W_dec is no table|no decoder"):
        ms.load_intervention(tmp_path, row=0)
