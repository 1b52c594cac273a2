"""What the model writes, steered or not."""

from collections.abc import Sequence
from typing import Any, cast

import torch

from .models import Model, pad_batch
from .prompts import encode_prompt


def generate(
    model: Model,
    queries: Sequence[str],
    *,
    prompt_format: str = "raw",
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    seed: int = 0,
    keep_special_tokens: bool = False,
) -> list[str]:
    """Continue each query, by sampling at `temperature`, or greedily at 0. Inside a `steer` block it is steered.

    Queries of different length share a batch, padded on the left; the seed makes the sampling repeat.
    """
    tokenizer = model.require_tokenizer()
    prompts = [encode_prompt(model, query, prompt_format) for query in queries]
    batch = pad_batch([(ids, len(ids)) for ids in prompts], model.padding_token, side="left").to(model.device)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
    with torch.no_grad(), torch.random.fork_rng(), model.reading(batch):
        torch.manual_seed(seed)
        tokens = cast(Any, model.hf).generate(
            input_ids=batch.tokens,
            attention_mask=batch.attention_mask.long(),
            pad_token_id=model.padding_token,
            max_new_tokens=max_new_tokens,
            **sampling,
        )
    written = [
        _to_end(row, cast(int | None, tokenizer.eos_token_id)) for row in tokens[:, batch.tokens.shape[1] :].tolist()
    ]
    return tokenizer.batch_decode(written, skip_special_tokens=not keep_special_tokens)


def _to_end(tokens: list[int], end: int | None) -> list[int]:
    """The tokens up to the end token, which stays; what follows it is padding."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
