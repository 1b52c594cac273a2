"""What begins at a length: windows, chunks, other rotary factors. They are numbers of the configuration, whatever their name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers import PretrainedConfig

from .model import Model

SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
         "head_dim", "bos_token_id", "eos_token_id", "pad_token_id")  # fmt: skip
"""What every family has, and what no length is compared with."""


def numbers(config: PretrainedConfig) -> frozenset[int]:
    """The whole numbers of the configuration of the texts, at any depth. Few of them are switches, but no name says which."""
    config = config.get_text_config()
    sizes = {config.attribute_map.get(name, name) for name in SIZES}
    return frozenset(_numbers({name: value for name, value in config.to_dict().items() if name not in sizes}))


def passed(model: Model, length: int, beyond: int = 0) -> frozenset[int]:
    """Those that a text of so many tokens passes, and one of `beyond` tokens does not."""
    return frozenset(number for number in numbers(model.hf.config) if beyond <= number < length)


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(item)
