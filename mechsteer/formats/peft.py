"""LoRA folders of PEFT: changes of weights of low rank, at as many modules as one likes, for every token."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from transformers.pytorch_utils import Conv1D

from ..errors import InputError
from ..interventions.base import Intervention, Origin, Shift
from ..interventions.joint import join
from ..interventions.local_weight import LocalWeight
from ..interventions.lora import LoRA
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.atomic import write_json
from ..store.reading import damaged, read_json
from ..store.tensors import read_tensors, write_tensors
from .low_rank import factors, fit
from .modules import module_of, sites_of_modules

NAME = "peft"
TITLE = "a LoRA folder of PEFT"
ORDER = 20
SUFFIXES = ()
ASKS = {}
SAYS = {"forms": None, "places": ("mlp.out", "attn.o"), "several": True}
NEEDS_MODEL = True
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
START = "base_model.model."
SHAPE = {"peft_type": str, "r": int, "lora_alpha": int | float}
REFUSED = ("use_dora", "modules_to_save", "target_parameters", "layer_replication", "trainable_token_indices", "corda_config",
           "use_qalora", "alora_invocation_tokens", "arrow_config", "use_bdlora", "kasa_config")  # fmt: skip
"""Settings that make an adapter more than a LoRA."""
STARTS = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin that take what the factors begin with out of the model's own weights."""


def recognises(path: Path) -> bool:
    """Whether the folder holds an adapter."""
    return (path / CONFIG).is_file()


def read(path: Path) -> Intervention:
    """A shift at each module's site; what its alpha and rank make of it is folded in."""
    config = read_json(path / CONFIG, SHAPE)
    if config["peft_type"] != "LORA":
        raise InputError(f"{str(path)!r} is an adapter of the kind {config['peft_type']!r}. Pass a LoRA.")
    if more := [name for name in REFUSED if config.get(name)]:
        raise InputError(f"{str(path)!r} is more than a LoRA: it has {more[0]}. Merge it, and pass both checkpoints.")
    if (start := _text(config, "init_lora_weights").lower()).startswith(STARTS):
        raise InputError(
            f"{str(path)!r} began as {start}, which changes the model's own weights as well. Merge it, and pass both checkpoints."
        )
    if config.get("bias", "none") != "none":
        raise InputError(f"{str(path)!r} trains biases of the model itself. Merge it, and pass both checkpoints.")
    if not (path / WEIGHTS).is_file():
        raise InputError(
            f"{str(path)!r} holds no {WEIGHTS}. If its weights are in adapter_model.bin, save it again as safetensors: "
            "save_pretrained does so."
        )
    tensors = _tensors(path / WEIGHTS)
    origin = Origin(
        positions="every", model=_text(config, "base_model_name_or_path"), revision=_text(config, "revision")
    )
    parts = []
    names = {(name := full.partition(".lora_")[0]).removeprefix(START): name for full in tensors}
    sites = sites_of_modules(sorted(names))
    ranks, alphas = (
        _settings(config, *told, [*sites]) for told in (("r", "rank_pattern"), ("lora_alpha", "alpha_pattern"))
    )
    for module, site in sites.items():
        name = names[module]
        down, up = tensors.pop(f"{name}.lora_A.weight", None), tensors.pop(f"{name}.lora_B.weight", None)
        bias = tensors.pop(f"{name}.lora_B.bias", None)
        if down is None or up is None or not fit(down, up):
            raise damaged(path / WEIGHTS, f"of the module {module!r} it holds no two factors that fit each other")
        rank, alpha = len(down), alphas[module]
        if ranks[module] != rank:
            raise InputError(
                f"The module {module!r} has rank {rank} in {WEIGHTS} and {ranks[module]} in {CONFIG}. Mend {CONFIG}."
            )
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        parts.append(_shift(site, down, up, bias, scale, origin))
    if tensors or not parts:
        raise damaged(path / WEIGHTS, f"it holds {next(iter(tensors), 'nothing')!r}, which is no factor of a LoRA")
    return join(parts)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    _, content = read_tensors(path)
    try:
        return {name: tensor.float() for name, tensor in load(content).items()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise damaged(path, repr(error)) from error


def _shift(
    site: Site,
    down: torch.Tensor,
    up: torch.Tensor,
    bias: torch.Tensor | None,
    scale: float,
    origin: Origin,
) -> Shift:
    if bias is None or not bias.any():
        return LoRA(site, down, scale * up, origin=origin)
    weight = scale * up @ down
    if not weight.any():
        return SteeringVector(site, scale * bias, origin=origin)
    return LocalWeight(site, weight, scale * bias, origin=origin)


def _settings(config: Mapping[str, Any], default: str, patterns: str, modules: Sequence[str]) -> dict[str, float]:
    """A setting of each module: of the first pattern that names it, else the default."""
    table = config.get(patterns) or {}
    if not isinstance(table, Mapping):
        raise InputError(f"The {patterns} in {CONFIG} is no table of patterns. Mend it.")
    found: dict[str, Any] = dict.fromkeys(modules, config[default])
    for pattern, value in reversed([*table.items()]):
        found |= dict.fromkeys(_named(pattern, modules), value)
    for module, value in found.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e30:
            raise InputError(
                f"The {default} of the module {module!r} is {value!r}, which is no number that can be used. Mend {CONFIG}."
            )
    return found


def _named(pattern: str, modules: Sequence[str]) -> list[str]:
    """The modules that a pattern of PEFT's names."""
    from pyarrow import array, compute  # a third of a second, and few adapters have patterns

    whole = pattern if pattern.startswith("^") else rf"(.*\.)?({pattern})$"
    try:
        # Python's own expressions may take for ever; these take a time that is linear in the name's length.
        found = compute.match_substring_regex(array(modules, "string"), pattern=rf"^(?:{whole})")  # pyright: ignore
    except ValueError as error:
        raise InputError(
            f"The pattern {pattern!r} in {CONFIG} cannot be used ({error}). Name the modules in full."
        ) from error
    return [module for module, is_one in zip(modules, found.to_pylist(), strict=True) if is_one]


def _text(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    return value if isinstance(value, str) else ""


def write(intervention: Intervention, path: Path, model: Any) -> list[Path]:
    """A folder that `PeftModel.from_pretrained` opens on the model; a vector is the bias of a LoRA of zeros."""
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    biases: dict[str, torch.Tensor] = {}
    transposed = []
    for site, shift in intervention.shifts.items():
        name, module = module_of(model, site)
        down, up, biases[name] = factors(shift, *site.widths(model))
        tensors |= {f"{START}{name}.lora_A.weight": down, f"{START}{name}.lora_B.weight": up}
        ranks[name] = len(down)
        transposed.append(type(module) is Conv1D)
    has_bias = any(bool(bias.any()) for bias in biases.values())
    if has_bias:
        tensors |= {f"{START}{name}.lora_B.bias": bias for name, bias in biases.items()}
    rank = next(iter(ranks.values()))
    others = {re.escape(name): other for name, other in ranks.items() if other != rank}
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": model.name, "revision": model.revision,
        "target_modules": sorted(ranks), "r": rank, "lora_alpha": rank, "rank_pattern": others, "alpha_pattern": others,
        "lora_dropout": 0.0, "bias": "none", "lora_bias": has_bias, "use_rslora": False, "fan_in_fan_out": any(transposed),
        "inference_mode": True,
    }  # fmt: skip
    path.mkdir(parents=True, exist_ok=True)
    content = save({name: value.contiguous().clone() for name, value in tensors.items()}, {"format": "pt"})
    return [write_tensors(content, path / WEIGHTS), write_json(config, path / CONFIG)]
