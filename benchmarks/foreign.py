"""Files as other programs write them: by the programs themselves, or byte by byte as they would."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import peers
import torch
from conftest import build_hf
from gguf import GGUFWriter
from peers import LAYER, ROW, Row, blocks_of, down_projection
from safetensors.torch import save_file
from torch import Tensor

LAYERS = (1, 2)
Written = tuple[Path, Mapping[str, str]]
"""A file, and what must be said of it."""


def _vectors(family: str) -> dict[int, Tensor]:
    """One for each of the two layers."""
    torch.manual_seed(0)
    width = build_hf(family).config.hidden_size
    return {layer: torch.randn(width) for layer in LAYERS}


def _rows(family: str) -> Tensor:
    """Many vectors, of which one or two are used."""
    torch.manual_seed(0)
    hf = build_hf(family)
    return torch.randn(hf.config.num_hidden_layers + 1, hf.config.hidden_size)


def _factors(family: str, rank: int = 3) -> tuple[Tensor, Tensor]:
    """Of a map from what the down-projection reads to what it writes."""
    torch.manual_seed(0)
    hf = build_hf(family)
    inner = next(iter({down_projection(block).weight.numel() // hf.config.hidden_size for block in blocks_of(hf)}))
    return torch.randn(inner, rank) / 4, torch.randn(rank, hf.config.hidden_size) / 4


def ours(family: str, folder: Path) -> Written:
    """As another program would write our files from their description."""
    shifts = [{"site": f"{layer}:resid_post", "form": "vector"} for layer in LAYERS]
    said = {
        "shifts": json.dumps(shifts), "rule": '{"name": "add", "settings": {}}', "origin": '{"positions": "every"}',
    }  # fmt: skip
    tensors = {f"{layer}:resid_post.direction": vector for layer, vector in _vectors(family).items()}
    save_file(tensors, folder / "theirs.safetensors", said)
    return folder / "theirs.safetensors", {}


def peft(family: str, folder: Path) -> Written:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    names = ["down_proj", "mlp.c_proj", "dense_4h_to_h", "fc2"]
    config = LoraConfig(
        r=3, lora_alpha=5, use_rslora=True, target_modules=names, layers_to_transform=[*LAYERS], init_lora_weights=False
    )
    get_peft_model(build_hf(family), config).save_pretrained(folder / "theirs")
    return folder / "theirs", {}


def merged(family: str, folder: Path) -> Written:
    """Two checkpoints; of the second, weights and biases of the down-projections are other ones."""
    torch.manual_seed(0)
    hf = build_hf(family)
    hf.save_pretrained(folder / "base")
    with torch.no_grad():
        for layer in LAYERS:
            for parameter in down_projection(blocks_of(hf)[layer]).parameters():
                parameter.add_(torch.randn_like(parameter) / 8)
    hf.save_pretrained(folder / "theirs")
    return folder / "theirs", {"base": str(folder / "base")}


def gguf_lora(family: str, folder: Path) -> Written:
    """As llama.cpp's converter writes one of PEFT, whose alpha is not its rank."""
    import llama_cpp

    down, up = _factors(family)
    writer = GGUFWriter(folder / "theirs.gguf", llama_cpp.ARCHITECTURES[build_hf(family).config.model_type])
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 5.0)
    for layer in LAYERS:
        writer.add_tensor(f"blk.{layer}.ffn_down.weight.lora_a", down.T.contiguous().numpy())
        writer.add_tensor(f"blk.{layer}.ffn_down.weight.lora_b", up.T.contiguous().numpy())
    return _closed(writer, folder / "theirs.gguf"), {}


def gguf_vector(family: str, folder: Path) -> Written:
    """As repeng and EasySteer write one."""
    vectors = _vectors(family)
    writer = GGUFWriter(folder / "theirs.gguf", "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", len(vectors))
    for layer, vector in vectors.items():
        writer.add_tensor(f"direction.{layer}", vector.numpy())
    return _closed(writer, folder / "theirs.gguf"), {}


def _closed(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def repeng(family: str, folder: Path) -> Written:
    _, ControlVector = peers.repeng()
    vectors = {layer: vector.numpy() for layer, vector in _vectors(family).items()}
    ControlVector("x", vectors).export_gguf(folder / "theirs.gguf")
    return folder / "theirs.gguf", {}


def steering_vectors(family: str, folder: Path) -> Written:
    from steering_vectors import SteeringVector

    return _saved(SteeringVector(_vectors(family)), folder / "theirs.pt"), {}


def easyedit_vector(family: str, folder: Path) -> Written:
    said = {"format": "easyedit", "layer": str(LAYER), "positions": "every"}
    return _saved(_vectors(family)[LAYER], folder / "layer_1.pt"), said


def easyedit_lora(family: str, folder: Path) -> Written:
    down, up = _factors(family)
    held = {"lora_A": down, "lora_B": up, "r": 3, "alpha": 32, "intervention_components": "mlp_mid"}
    return _saved(held, folder / "layer_1.pt"), {"format": "easyedit", "layer": str(LAYER)}


def persona_vectors(family: str, folder: Path) -> Written:
    said = {"format": "persona-vectors", "site": "1:resid_post,2:resid_post"}
    return _saved(_rows(family), folder / "evil_response_avg_diff.pt"), said


def refusal_direction(family: str, folder: Path) -> Written:
    (folder / "direction_metadata.json").write_text(json.dumps({"pos": -1, "layer": LAYER}))
    return _saved(_rows(family)[ROW], folder / "direction.pt"), {}


def axbench(family: str, folder: Path) -> Written:
    return _saved(_rows(family), folder / "DiffMean_weight.pt"), {"layer": str(LAYER), "row": str(ROW)}


def svec(family: str, folder: Path) -> Written:
    directions = {str(layer): vector.tolist() for layer, vector in enumerate(_rows(family))}
    said = {"model_type": "llama", "directions": directions, "explained_variances": dict.fromkeys(directions, 1.0)}
    (folder / "theirs.svec").write_text(json.dumps(said))
    return folder / "theirs.svec", {"layers": "1-2"}


def sae(family: str, folder: Path) -> Written:
    (folder / "cfg.json").write_text(json.dumps({"metadata": {"hook_name": f"blocks.{LAYER}.hook_resid_post"}}))
    save_file({"W_dec": _rows(family)}, folder / "sae_weights.safetensors")
    return folder, {"row": str(ROW)}


def easysteer(family: str, folder: Path) -> Written:
    """As its guide for servers shows, with the file that it names beside it."""
    source, _ = gguf_vector(family, folder)
    vector = {
        "source": source.name, "scale": -0.5, "layers": [*LAYERS], "normalize": False,
        "apply": {"prompt": "all", "generation": "all"},
    }  # fmt: skip
    (folder / "steering.json").write_text(json.dumps({"vectors": [vector]}))
    return folder / "steering.json", {}


def _saved(value: Any, path: Path) -> Path:
    torch.save(value, path)
    return path


STREAM, MLPS = (tuple(f"{layer}:{place}" for layer in LAYERS) for place in ("resid_post", "mlp.out"))
WRITERS: Mapping[Row, Callable[[str, Path], Written]] = {
    Row("mechsteer", "a hook", "in", "vector", STREAM): ours,
    Row("peft", "peft", "in", "lora", MLPS): peft,
    Row("merged", "transformers", "in", "local_weight", MLPS): merged,
    Row("gguf-lora", "llama.cpp", "in", "lora", MLPS): gguf_lora,
    Row("gguf-vector", "llama.cpp", "in", "vector", STREAM): gguf_vector,
    Row("gguf-vector", "repeng", "in", "vector", STREAM): repeng,
    Row("steering-vectors", "steering-vectors", "in", "vector", STREAM): steering_vectors,
    Row("easyedit", "a hook", "in", "vector", ("1:resid_post",)): easyedit_vector,
    Row("easyedit", "a hook", "in", "lora", ("1:mlp.bypass",)): easyedit_lora,
    Row("persona-vectors", "a hook", "in", "vector", STREAM): persona_vectors,
    Row("refusal-direction", "a hook", "in", "vector", ("1:resid_pre",)): refusal_direction,
    Row("axbench", "a hook", "in", "vector", ("1:resid_post",)): axbench,
    Row("svec", "a hook", "in", "vector", ("1:resid_pre", "2:resid_pre")): svec,
    Row("sae", "a hook", "in", "vector", ("1:resid_post",)): sae,
    Row("easysteer", "a hook", "in", "vector", STREAM): easysteer,
}
"""By what is compared; the sites are those at which we should find it."""
