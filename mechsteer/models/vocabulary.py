"""Words that a model does not know: the tokenizer makes one token of all of them, or one that the model lacks."""

from collections.abc import Sequence
from typing import cast

from ..errors import InputError
from .model import Model, embedding

MOST_WORDS = 5
"""That a message names."""


def check_known(model: Model, texts: Sequence[str], tokens: Sequence[Sequence[int]], what: str) -> None:
    """One sentence if any of the texts, whose tokens these are, was not read as it is written."""
    tokenizer, n_known = model.require_tokenizer(), len(embedding(model.hf))
    if beyond := [ids for ids in tokens if max(ids, default=0) >= n_known]:
        token = max(beyond[0])
        raise InputError(
            f"{len(beyond)} of {len(texts)} {what} hold tokens that {model.name} lacks, such as "
            f"{tokenizer.convert_ids_to_tokens(token)!r} (id {token}; the model has {n_known}). Leave them out, or resize the "
            "model's embedding."
        )
    unknown = cast(int | None, tokenizer.unk_token_id)
    # In the vocabulary of GPT-2, which knows every text, it is the token that ends and begins one.
    if unknown is None or unknown in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        return
    affected = [text for text, ids in zip(texts, tokens, strict=True) if unknown in ids]
    if not affected:
        return
    words = dict.fromkeys(
        word
        for text in affected
        for word in text.split()
        if unknown in cast(list[int], tokenizer(word, add_special_tokens=False)["input_ids"])
    )
    named = ", ".join(map(repr, list(words)[:MOST_WORDS])) + ", ..." * (len(words) > MOST_WORDS)
    raise InputError(
        f"{len(affected)} of {len(texts)} {what} hold words that {model.name} does not know ({named}). Write them in words "
        "that it knows, small letters and spaces included, or leave them out."
    )
