"""What the model writes, steered or not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import GenerationConfig

from ..models.model import Model, pad_batch
from ..models.prompts import encode_prompt


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
    Queries of different length share a batch, padded on the left; the seed makes the sampling repeat.
    """
    tokenizer = model.require_tokenizer()
    queries = [queries] if isinstance(queries, str) else queries
    if not queries:
        return []
    prompts = [encode_prompt(model, query, prompt_format) for query in queries]
    batch = pad_batch([(ids, len(ids)) for ids in prompts], model.padding_token, side="left").to(model.device)
    model.check_length(batch.tokens.shape[1] + max_new_tokens, "The longest prompt with all that may follow")
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        **({"temperature": temperature, "top_k": 0} if temperature > 0 else {}),
        eos_token_id=model.hf.generation_config.eos_token_id if model.hf.generation_config else tokenizer.eos_token_id,
        pad_token_id=model.padding_token,
    )
    with torch.no_grad(), torch.random.fork_rng(), model.reading(batch), _settings_of_our_own(model):
        torch.manual_seed(seed)
        tokens = cast(Any, model.hf).generate(
            input_ids=batch.tokens,
            attention_mask=batch.attention_mask.long(),
            generation_config=settings,
        )
    ends = settings.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    written = [_to_end(row, ends) for row in tokens[:, batch.tokens.shape[1] :].tolist()]
    return tokenizer.batch_decode(written, skip_special_tokens=not keep_special_tokens)


@contextmanager
def _settings_of_our_own(model: Model) -> Iterator[None]:
    """Without the checkpoint's: its penalties and cut-offs fill what a call leaves open, and would hide the steer."""
    own, model.hf.generation_config = model.hf.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.hf.generation_config = own


def _to_end(tokens: list[int], ends: set[int | None]) -> list[int]:
    """The tokens up to the first end token, which stays; what follows it is padding."""
    return tokens[: next((at + 1 for at, token in enumerate(tokens) if token in ends), len(tokens))]
