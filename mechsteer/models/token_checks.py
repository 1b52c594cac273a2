"""What a tokenizer makes of pairs that their texts do not show: words that it does not know, a first token twice."""

import unicodedata
from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

from ..errors import InputError, shown
from ..pairs.checks import Finding
from ..pairs.polarity import Pairs
from .model import Model
from .prompts import encode_pairs


def check_tokens(model: Model, pairs: Pairs, prompt_format: str) -> Iterator[Finding]:
    """What is wrong with pairs as tokens; what `encode_pairs` refuses is refused here too."""
    yield from (unread := list(_unread_words(model, pairs)))
    if any(finding.refused for finding in unread):
        return
    try:
        encoded = encode_pairs(model, pairs, prompt_format)
    except InputError as error:
        yield Finding("tokens", str(error), "", refused=True)
        return
    tokenizer = model.require_tokenizer()
    bos = tokenizer.bos_token_id
    if bos is not None and (doubled := sum(one.positive[:2] == (bos, bos) for one in encoded)):
        yield Finding(
            "first token",
            f"{doubled} of {len(pairs)} pairs of {pairs.name} begin with {tokenizer.bos_token!r} twice, "
            "since the tokenizer writes it too.",
            "Leave it out of the queries; texts that a chat template has written want their parts and the format chat.",
        )


def _unread_words(model: Model, pairs: Pairs) -> Iterator[Finding]:
    tokenizer = model.require_tokenizer()
    unread = [pair for pair in pairs if not all(_is_read(tokenizer, text) for text in (pair.positive, pair.negative))]
    if unread:
        words = f"{unread[0].positive} {unread[0].negative}".split()
        example = next((f", such as {shown(word, 30)!r}" for word in words if not _is_read(tokenizer, word)), "")
        yield Finding(
            "unknown words",
            f"In {len(unread)} of {len(pairs)} pairs of {pairs.name} a completion has words that the tokenizer of "
            f"{model.name} does not know{example}.",
            "Write pairs in the words of the model, or choose another model.",
            # Of most pairs the model reads something else than what is written.
            refused=2 * len(unread) > len(pairs),
        )


def _is_read(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    """Whether tokens give the text back, but for spaces and capitals, which some leave out on purpose."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return _letters(text) in _letters(str(tokenizer.decode(ids)))


def _letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()
