"""What the model writes, steered or not."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from ..models.model import Model, pad_batch
from ..models.prompts import encode_prompt
from .ways import way_for


def generate(
    model: Model,
    queries: str | Sequence[str],
    *,
    prompt_format: str = "raw",
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    seed: int = 0,
    keep_special_tokens: bool = False,
) -> list[str]:
    """Continue each query, or the one that came, by sampling at `temperature`, or greedily at 0.

    Inside a `steer` block it is steered.
    Queries of different length share a batch, padded on the left, unless the model reads padding (ways.py); the seed makes the
    sampling repeat.
    """
    queries = [queries] if isinstance(queries, str) else queries
    written = generate_tokens(
        model, queries, prompt_format=prompt_format, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
    )
    return model.require_tokenizer().batch_decode(written, skip_special_tokens=not keep_special_tokens)


def generate_tokens(
    model: Model,
    queries: Sequence[str],
    *,
    prompt_format: str = "raw",
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[int]]:
    """The same as token ids: a text that is read again may become other tokens than those that were drawn."""
    if not queries:
        return []
    prompts = [encode_prompt(model, query, prompt_format) for query in queries]
    batch = pad_batch([(ids, len(ids)) for ids in prompts], model.padding_token, side="left").to(model.device)
    model.check_length(batch.tokens.shape[1] + max_new_tokens, "The longest prompt with all that may follow")
    ends = end_tokens(model)
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        **({"temperature": temperature, "top_k": 0} if temperature > 0 else {}),
        eos_token_id=sorted(ends) or None,
        pad_token_id=model.padding_token,
    )
    way = way_for(model, prompts, max_new_tokens)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        written = way.write(model, batch, settings)
    rows = [row for part in written for row in part.sequences.tolist()]
    begins = [batch.tokens.shape[1]] * len(rows) if way.side_by_side else [len(ids) for ids in prompts]
    return [_to_end(row[begin:], ends) for row, begin in zip(rows, begins, strict=True)]


def end_tokens(model: Model) -> set[int]:
    """Those that end a text: the checkpoint says which, else the tokenizer."""
    own = model.hf.generation_config
    said: Any = None if own is None else own.eos_token_id
    if said is None and model.tokenizer is not None:
        said = model.tokenizer.eos_token_id
    return set(said if isinstance(said, list) else [] if said is None else [said])


def _to_end(tokens: list[int], ends: set[int]) -> list[int]:
    """The tokens up to the first end token, which stays; what follows it is padding."""
    return tokens[: next((at + 1 for at, token in enumerate(tokens) if token in ends), len(tokens))]
