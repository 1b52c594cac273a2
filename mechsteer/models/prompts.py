"""From the text of a pair to token ids, with the query's end on a token boundary, always."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from ..pairs.polarity import Pairs, PolarityPair
from .model import Model

FORMATS = ("raw", "chat")
MARK = "\ue000"


@dataclass(frozen=True)
class EncodedPair:
    """A pair's two texts as token ids; each completion begins at index `begin`, and what stands before is shared."""

    id: str
    begin: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    moved: bool = False
    """Whether `begin` lies before the end of the query's text, because a token spans both."""

    def swapped(self) -> "EncodedPair":
        """The same texts with their roles exchanged."""
        return EncodedPair(self.id, self.begin, self.negative, self.positive, self.moved)


def encode_pairs(model: Model, pairs: Pairs | Sequence[PolarityPair], prompt_format: str = "raw") -> list[EncodedPair]:
    """Tokenize pairs.

    Args:
        prompt_format: "raw" adds nothing to query and completion but the tokenizer's own first token. "chat" puts both
            into the tokenizer's chat template, end of turn included.

    Query and completion are tokenized together, since many tokenizers put a space in front of what stands alone. Where
    the last token of the query then depends on what follows it, the completion begins at the last token that does not
    (`moved`): its log-likelihood then covers the query's last letters as well, for both completions alike.
    """
    tokenizer = model.require_tokenizer()
    if prompt_format not in FORMATS:
        raise InputError(f"The prompt format {prompt_format!r} is unknown. Choose raw or chat.")
    if prompt_format == "chat" and not tokenizer.chat_template:
        raise InputError(f"The tokenizer of {model.name} has no chat template. Use the format raw.")
    ids = [pair.id or str(index) for index, pair in enumerate(pairs)]
    if repeated := [name for name, n in Counter(ids).items() if n > 1]:
        raise InputError(f"Two pairs have the id {repeated[0]!r}. Give each pair an id of its own, or none at all.")
    encoded = [_encode(tokenizer, replace(pair, id=name), prompt_format) for name, pair in zip(ids, pairs, strict=True)]
    for pair in encoded:
        model.check_length(max(len(pair.positive), len(pair.negative)), f"Pair {pair.id!r}")
    return encoded


def encode_prompt(model: Model, query: str, prompt_format: str = "raw") -> list[int]:
    """Token ids of a query that is to be continued."""
    tokenizer = model.require_tokenizer()
    ids = _ids(tokenizer, _chat_query(tokenizer, query) if prompt_format == "chat" else query, prompt_format)
    if not ids:
        raise InputError(f"The prompt {query!r} has no tokens for {model.name}. Write something that it can read.")
    return ids


def _encode(tokenizer: PreTrainedTokenizerBase, pair: PolarityPair, prompt_format: str) -> EncodedPair:
    if prompt_format == "chat":
        query = _chat_query(tokenizer, pair.query)
        texts = [query + _chat_answer(tokenizer, pair.query, answer) for answer in (pair.positive, pair.negative)]
    else:
        query = pair.query
        texts = [pair.query + pair.positive, pair.query + pair.negative]
    alone = _ids(tokenizer, query, prompt_format)
    positive, negative = (_ids(tokenizer, text, prompt_format) for text in texts)
    begin = min(_n_shared(alone, positive), _n_shared(alone, negative))
    if begin == 0:
        raise InputError(
            f"Pair {pair.id!r}: no token stands before the completion, so its first token has no probability. "
            "Give the pair a query, or use a tokenizer that begins texts with a token of its own."
        )
    for one, other in ((positive, negative), (negative, positive)):
        if one == other[: len(one)]:
            raise InputError(
                f"Pair {pair.id!r}: as tokens, one completion is the beginning of the other, so they do not exclude "
                "each other. End both with the end token, or leave the pair out."
            )
    return EncodedPair(pair.id, begin, tuple(positive), tuple(negative), moved=begin < len(alone))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, prompt_format: str) -> list[int]:
    # A chat template writes its own first token.
    ids = list(tokenizer(text, add_special_tokens=prompt_format == "raw")["input_ids"])
    # Some tokenizers append an end token to every text; a query would then never be a prefix.
    n_written = text.endswith(str(tokenizer.eos_token))
    if len(ids) > 1 + n_written and ids[-1 - n_written :] == [tokenizer.eos_token_id] * (1 + n_written):
        ids.pop()
    return ids


def _n_shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _chat_query(tokenizer: PreTrainedTokenizerBase, query: str) -> str:
    chat = [{"role": "user", "content": query}]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))


def _chat_answer(tokenizer: PreTrainedTokenizerBase, query: str, answer: str) -> str:
    """The answer and what the template writes after it, up to the end of turn."""
    answer = answer.strip()

    def render(content: str) -> str:
        chat = [{"role": "user", "content": query}, {"role": "assistant", "content": content}]
        return str(tokenizer.apply_chat_template(chat, tokenize=False))

    # The answer itself may stand in the template's own words; a private-use character does not.
    after = render(MARK).rpartition(MARK)[2]
    if answer + after not in render(answer):
        raise InputError(
            "The chat template rewrites the answer, so its tokens cannot be told apart. Use the format raw."
        )
    return answer + after.rstrip()
