"""What other programs call the linear map of a site: modules of Hugging Face models, and tensors of GGUF files."""

import re
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.sites import Site

if TYPE_CHECKING:
    from ..models.model import Model

MAPS = ("mlp.out", "attn.o")
"""The places whose shift is a change of a weight that the model has."""
MODULES = {
    "mlp.out": ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2", "fc2"),
    "attn.o": ("self_attn.o_proj", "attn.c_proj", "attention.dense", "self_attn.dense", "self_attn.out_proj"),
}
GGUF_TENSORS = {"mlp.out": "ffn_down", "attn.o": "attn_output"}
_NAMED = {name: place for place, names in MODULES.items() for name in names}
_MODULE = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})\.([\w.]+)$")
_TENSOR = re.compile(r"blk\.(\d{1,5})\.(\w+)\.weight$")


def site_of_module(name: str) -> Site:
    """Of "model.layers.3.mlp.down_proj"; one sentence if no site is there."""
    found = _MODULE.search(name)
    if found is None or found[2] not in _NAMED:
        raise InputError(
            f"The module {name!r} is not the output projection of attention or of an MLP, so no site has its shift. Pass a "
            "steer of those alone, or merge it and open the merged model."
        )
    return Site(int(found[1]), _NAMED[found[2]])


def module_of(model: "Model", site: Site) -> tuple[str, Any]:
    """What the model calls the linear map at a site, and the map itself."""
    if site.place not in MAPS:
        raise InputError(
            f"At {site} the shift is added to no output of a weight of {model.name}, so it is no change of one. Choose a "
            f"format for steers there, or learn at {' or '.join(MAPS)}."
        )
    site.widths(model)
    block: Any = model.bridge.blocks[site.layer]
    branch = block.mlp.out if site.place == "mlp.out" else block.attn.o
    module = branch.original_component
    # The bridge hangs it up under names of its own, too.
    found = (name for name, other in model.hf.named_modules(remove_duplicate=False) if other is module)
    plain = (".".join(part for part in name.split(".") if part != "_original_component") for name in found)
    names = [name for name in plain if (called := _MODULE.search(name)) and called[2] in _NAMED]
    if not names:
        raise InputError(
            f"What a {type(model.hf).__name__} calls the linear map at {site} is not known here. Choose another format."
        )
    return names[0], module


def site_of_tensor(name: str) -> Site:
    """Of "blk.3.ffn_down.weight"."""
    places = {tensor: place for place, tensor in GGUF_TENSORS.items()}
    found = _TENSOR.match(name)
    if found is None or found[2] not in places:
        raise InputError(
            f"The tensor {name!r} is not the output projection of attention or of an MLP, so no site has its shift. Pass a steer "
            "of those alone."
        )
    return Site(int(found[1]), places[found[2]])


def tensor_of(site: Site) -> str:
    """What GGUF files call the weight at a site."""
    return f"blk.{site.layer}.{GGUF_TENSORS[site.place]}.weight"
