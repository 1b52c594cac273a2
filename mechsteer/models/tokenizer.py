"""Opening the tokenizer that lies beside a model, and whether the model knows its tokens."""

from collections.abc import Mapping
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..errors import InputError
from .checkpoint import quiet, why_not
from .source import WHERE, Source

VOCABULARIES = ("tokenizer.", "vocab", "spiece.", "sentencepiece.", "tekken.", "merges.")
"""How files begin that hold a vocabulary."""


def open_tokenizer(source: Source, options: Mapping[str, Any]) -> PreTrainedTokenizerBase | None:
    """The tokenizer; None where no vocabulary lies, from which transformers would make an empty one."""
    if not any(name.startswith(VOCABULARIES) or name.endswith((".tiktoken", ".model")) for name in source.files):
        return None
    kept = {key: options[key] for key in (*WHERE, "trust_remote_code") if key in options and key != "subfolder"}
    with quiet():
        try:
            return AutoTokenizer.from_pretrained(source.name, **{"trust_remote_code": False} | kept)
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise InputError(why_not(source, error, "tokenizer")) from error


def check_fits(tokenizer: PreTrainedTokenizerBase, n_tokens: int, name: str) -> None:
    """Raise one sentence if ordinary text could have tokens that the model lacks.

    Added tokens beyond the model's are common (padding, an image's place in Gemma 3) and do no harm until a text has one.
    """
    added = tokenizer.added_tokens_decoder
    beyond = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= n_tokens)
    ordinary = [(index, token) for index, token in beyond if index not in added]
    if ordinary:
        index, token = ordinary[0]
        raise InputError(
            f"The tokenizer has {len(ordinary)} tokens that {name!r} lacks, such as {token!r} (id {index}; the model has "
            f"{n_tokens}). Pass the tokenizer that the model was trained with."
        )
