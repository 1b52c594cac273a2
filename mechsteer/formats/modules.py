"""What other programs call the linear map of a site: modules of Hugging Face models, and tensors of GGUF files."""

import re
from collections.abc import Mapping, Sequence
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
LONGEST = 200
"""Characters of a name: no model has one as long, and to search one takes a time that is quadratic in its length."""
_NAMED = {name: place for place, names in MODULES.items() for name in names}
_MODULE = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})\.([\w.]+)$")
_TENSOR = re.compile(r"blk\.(\d{1,5})\.(\w+)\.weight$")


def sites_of_modules(names: Sequence[str]) -> Mapping[str, Site]:
    """Of "model.layers.3.mlp.down_proj" and others; one sentence on all that are at no site."""
    found = {name: _MODULE.search(name) if len(name) <= LONGEST else None for name in names}
    return _sites({name: match and (match[1], _NAMED.get(match[2])) for name, match in found.items()})


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


def sites_of_tensors(names: Sequence[str]) -> Mapping[str, Site]:
    """Of "blk.3.ffn_down.weight" and others; one sentence on all that are at no site."""
    places = {tensor: place for place, tensor in GGUF_TENSORS.items()}
    found = {name: _TENSOR.match(name) for name in names}
    return _sites({name: match and (match[1], places.get(match[2])) for name, match in found.items()})


def _sites(found: Mapping[str, tuple[str, str | None] | None]) -> Mapping[str, Site]:
    """By name, from layers and places; a place that is none is no site."""
    if others := [name for name, at in found.items() if at is None or at[1] is None]:
        kinds = ", ".join(sorted({name.removesuffix(".weight").rpartition(".")[2] for name in others}))
        many = f"{len(others)} of {len(found)}, such as " if len(found) > 1 else ""
        raise InputError(
            f"At {kinds} ({many}{others[0]!r}) there is no site: a shift can be read only from the output projections of "
            "attention and MLPs. Open the merged model itself, or pass a steer that changes those alone."
        )
    return {name: Site(int(at[0]), at[1]) for name, at in found.items() if at and at[1]}


def tensor_of(site: Site) -> str:
    """What GGUF files call the weight at a site."""
    return f"blk.{site.layer}.{GGUF_TENSORS[site.place]}.weight"
