"""Programs that steer by what lies in a file, each by its own code on plain Hugging Face or llama.cpp; they judge `interop.py`.

Where a program cannot be installed beside ours, a hook stands for it that adds what its file holds where its code adds it.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from conftest import build_hf
from gguf import GGUFReader
from safetensors.torch import load_file
from torch import Tensor, nn

from mechsteer import Site

TOKENS = [1, 7, 33, 12, 54, 21, 9, 40, 3, 18]
ANSWER = 6
"""The first of the tokens that are an answer to those before."""
LAYER, ROW = 1, 2
"""Of files that hold one steer of many."""


@dataclass(frozen=True)
class Row:
    """One format in one direction, judged by one program."""

    format: str
    """ "none" is no steer at all."""
    judge: str
    direction: str
    form: str
    sites: tuple[str, ...]
    file: str = ""
    """What a file of ours is called, in a folder of its own."""
    is_answer: bool = False
    """Whether the tokens of the answer alone are steered, and its loss compared; else all are, and logits."""

    def __str__(self) -> str:
        tokens = "an answer" if self.is_answer else "every token"
        return f"{self.format} {self.direction}, {self.form} of {tokens} by {self.judge}"

    @property
    def begin(self) -> int:
        """The first token that is steered."""
        return ANSWER if self.is_answer else 0


def said(hf: Any) -> Tensor:
    """Logits of the text's tokens."""
    with torch.no_grad():
        return hf(torch.tensor([TOKENS])).logits[0]


def by_peft(row: Row, path: Path, family: str) -> Tensor:
    import peft

    return said(peft.PeftModel.from_pretrained(build_hf(family), path).eval())


def by_transformers(row: Row, path: Path, family: str) -> Tensor:
    return said(transformers.AutoModelForCausalLM.from_pretrained(path).eval())


def by_llama_cpp(row: Row, path: Path, family: str) -> Tensor:
    import llama_cpp

    hf = build_hf(family)
    file = llama_cpp.write_model(hf, path.with_name("model.gguf"))
    steered = {} if row.format == "none" else {row.format.removeprefix("gguf-"): path}
    return llama_cpp.logits(file, TOKENS, hf.config.vocab_size, begin=row.begin, **steered)


def by_repeng(row: Row, path: Path, family: str) -> Tensor:
    ControlModel, ControlVector = repeng()
    vector = ControlVector.import_gguf(path)
    model = ControlModel(build_hf(family), list(vector.directions))
    model.set_control(vector)
    return said(model)


def repeng() -> tuple[Any, Any]:
    """Its classes of models and of vectors."""
    # It names a type that numpy 2 has no longer.
    np.float_ = np.float64  # pyright: ignore
    from repeng import ControlModel, ControlVector

    return ControlModel, ControlVector


def by_steering_vectors(row: Row, path: Path, family: str) -> Tensor:
    from steering_vectors import SteeringVector

    with torch.serialization.safe_globals([SteeringVector]):
        hf, held = build_hf(family), torch.load(path, weights_only=True)
    vector = held if isinstance(held, SteeringVector) else SteeringVector(**held)
    with vector.apply(hf, min_token_index=row.begin):
        return said(hf)


def by_hook(row: Row, path: Path, family: str) -> Tensor:
    hf = build_hf(family)
    for layer, where, shift in HELD[row.format](row, path):
        _hang(blocks_of(hf)[layer], where, shift, row.begin)
    return said(hf)


def blocks_of(hf: Any) -> nn.ModuleList:
    """The blocks of a Hugging Face model, whatever it calls them."""
    lists = (module for module in hf.modules() if isinstance(module, nn.ModuleList))
    return next(module for module in lists if len(module) == hf.config.num_hidden_layers)


def down_projection(block: nn.Module) -> nn.Module:
    """What an MLP writes by."""
    names = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "fc2")
    return next(module for name, module in block.named_modules() if name in names)


Held = tuple[int, str, Any]
"""A block, "input", "output" or "mlp", and a vector; at "mlp", the factors of a map from what the down-projection reads."""


def _hang(block: nn.Module, where: str, shift: Any, begin: int) -> None:
    def shifted(value: Tensor, by: Tensor) -> Tensor:
        value = value.clone()
        value[:, begin:] += by if by.ndim == 1 else by[:, begin:]
        return value

    def on_input(module: nn.Module, given: Any) -> Any:
        return (shifted(given[0], shift), *given[1:])

    def on_output(module: nn.Module, given: Any, out: Any) -> Any:
        by = shift if where == "output" else read[-1] @ shift[0] @ shift[1]
        return (shifted(out[0], by), *out[1:]) if isinstance(out, tuple) else shifted(out, by)

    read: list[Tensor] = []
    if where == "input":
        block.register_forward_pre_hook(on_input)
        return
    block.register_forward_hook(on_output)
    if where == "mlp":
        down_projection(block).register_forward_pre_hook(lambda module, given: read.append(given[0]))


def _ours(row: Row, path: Path) -> list[Held]:
    tensors = {name.rpartition(".")[0]: tensor for name, tensor in load_file(path).items()}
    return [(Site.parse(site).layer, "output", tensor) for site, tensor in tensors.items()]


def _persona_vectors(row: Row, path: Path) -> list[Held]:
    """Its layer L is row L, and hooks the output of block L - 1."""
    rows = torch.load(path, weights_only=True)
    numbers = [Site.parse(site).layer + 1 for site in row.sites]
    return [(number - 1, "output", rows[number]) for number in numbers]


def _refusal_direction(row: Row, path: Path) -> list[Held]:
    layer = json.loads(path.with_name("direction_metadata.json").read_text())["layer"]
    return [(layer, "input", torch.load(path, weights_only=True))]


def _easyedit(row: Row, path: Path) -> list[Held]:
    held = torch.load(path, weights_only=True)
    if isinstance(held, Tensor):
        return [(LAYER, "output", held)]
    if "lora_A" in held:
        return [(LAYER, "mlp", (held["lora_A"], held["lora_B"]))]
    return [(LAYER, "mlp", (held["weight"], torch.eye(len(held["bias"])))), (LAYER, "output", held["bias"])]


def _axbench(row: Row, path: Path) -> list[Held]:
    return [(LAYER, "output", torch.load(path, weights_only=True)[ROW])]


def _svec(row: Row, path: Path) -> list[Held]:
    directions = json.loads(path.read_text())["directions"]
    layers = [Site.parse(site).layer for site in row.sites]
    return [(layer, "input", torch.tensor(directions[str(layer)])) for layer in layers]


def _sae(row: Row, path: Path) -> list[Held]:
    hook = json.loads((path / "cfg.json").read_text())["metadata"]["hook_name"]
    return [(int(hook.split(".")[1]), "output", load_file(path / "sae_weights.safetensors")["W_dec"][ROW])]


def _easysteer(row: Row, path: Path) -> list[Held]:
    (vector,) = json.loads(path.read_text())["vectors"]
    # A clause that names the prompt covers it.
    assert ("prompt" in vector["apply"]) is not row.is_answer
    if "source" in vector:
        tensors = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path.parent / vector["source"]).tensors}
    else:
        sent = vector["data"]["tensors"]
        tensors = {name: np.frombuffer(base64.b64decode(one["data"]), "<f4").copy() for name, one in sent.items()}
    layers = {int(name.rpartition(".")[2]): torch.from_numpy(tensor) for name, tensor in tensors.items()}
    return [(layer, "output", vector["scale"] * layers[layer]) for layer in vector["layers"]]


HELD: Mapping[str, Callable[[Row, Path], list[Held]]] = {
    "mechsteer": _ours, "persona-vectors": _persona_vectors, "refusal-direction": _refusal_direction, "easyedit": _easyedit,
    "axbench": _axbench, "svec": _svec, "sae": _sae, "easysteer": _easysteer,
}  # fmt: skip

Judge = Callable[[Row, Path, str], Tensor]
JUDGES: Mapping[str, tuple[str, Judge]] = {
    "peft": ("peft", by_peft),
    "transformers": ("transformers", by_transformers),
    "llama.cpp": ("xllamacpp", by_llama_cpp),
    "repeng": ("repeng", by_repeng),
    "steering-vectors": ("steering_vectors", by_steering_vectors),
    "a hook": ("transformers", by_hook),
}
"""By name: the Python module that it needs, and what it makes of a file."""
