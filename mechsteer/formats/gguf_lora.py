"""LoRA adapters of llama.cpp: changes of weights of rank r, at as many tensors as one likes, for every token."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.lora import LoRA
from ..store.reading import damaged
from .gguf_files import GGUF, read_gguf, settings_of, write_gguf
from .low_rank import factors, fit
from .modules import sites_of_tensors, tensor_of

NAME = "gguf-lora"
TITLE = "a LoRA of llama.cpp"
ORDER = 30
SUFFIXES = (".gguf",)
ASKS = {}
SAYS = {"forms": ("lora", "local_weight"), "places": ("mlp.out", "attn.o"), "several": True}
NEEDS_MODEL = True
KIND = {"general.type": "adapter", "adapter.type": "lora"}


def recognises(path: Path) -> bool:
    """Whether the file begins as one does."""
    if path.suffix != GGUF or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"adapter.type" in file.read(1 << 16)


def read(path: Path) -> Intervention:
    """A LoRA at each tensor's site; alpha / rank is folded in."""

    def check(said: Mapping[str, Any], names: Sequence[str]) -> None:
        if any(said.get(name) != value for name, value in KIND.items()):
            raise InputError(f"{str(path)!r} is a GGUF file, but not a LoRA. Pass a LoRA, or a control vector.")

    said, tensors = read_gguf(path, check)
    alpha, parts = said.get("adapter.lora.alpha"), []
    origin = Origin(positions="every", settings=settings_of(said))
    sites = sites_of_tensors(sorted({name.rpartition(".lora_")[0] for name in tensors}))
    for name, site in sites.items():
        down, up = tensors.pop(f"{name}.lora_a", None), tensors.pop(f"{name}.lora_b", None)
        if down is None or up is None or not fit(down, up):
            raise damaged(path, f"of the tensor {name!r} it holds no two factors that fit each other")
        # llama.cpp takes an alpha of 0 for none.
        scale = float(alpha) / down.shape[0] if isinstance(alpha, (int, float)) and alpha else 1.0
        parts.append(LoRA(site, down, scale * up, origin=origin))
    if tensors or not parts:
        raise damaged(path, f"it holds {', '.join(tensors) or 'nothing'}, which is no factor of a LoRA")
    return join(parts)


def write(intervention: Intervention, path: Path, model: Any) -> list[Path]:
    """llama.cpp has one alpha for all ranks, so that 0, which leaves factors as they are, is written."""
    tensors: dict[str, torch.Tensor] = {}
    for site, shift in intervention.shifts.items():
        down, up, bias = factors(shift, *site.widths(model))
        if bias.any():
            raise InputError(
                f"The {shift.form} at {site} has a bias, and a LoRA of llama.cpp has none. Export it as peft, or merged."
            )
        tensors |= {f"{tensor_of(site)}.lora_a": down, f"{tensor_of(site)}.lora_b": up}
    return [write_gguf(path, architecture_of(model), KIND | {"adapter.lora.alpha": 0.0}, tensors)]


def architecture_of(model: Any) -> str:
    """What GGUF files call the architecture of a model."""
    from gguf import MODEL_ARCH_NAMES

    kind = str(model.hf.config.get_text_config().model_type).removesuffix("_text").replace("_", "")
    known = {name.replace("-", "").replace("_", ""): name for name in MODEL_ARCH_NAMES.values()}
    # llama.cpp opens Mistral's models as Llama's.
    kind = {"mistral": "llama"}.get(kind, kind)
    if kind not in known:
        raise InputError(f"llama.cpp knows no models of the type {kind!r}. Choose another format.")
    return known[kind]
